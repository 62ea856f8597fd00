"""The models that can be chosen: kept in memory, so that the window's thread lists no folder."""

from __future__ import annotations

import os
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_cwtnet.errors import RequestError
from napari_cwtnet.model import list_models
from napari_cwtnet.model.registry import MODEL_FOLDER
from napari_cwtnet.model.weights import ModelHeader, read_header
from napari_cwtnet.plugin.tasks.runner import in_background


class ModelList(QObject):
    """Names and files of all models, as of the last look.

    Attributes
    ----------
    changed : Signal
        There are other models than before; emitted on the GUI thread.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._folder: str | None = ""
        self._paths: dict[str, Path] = {}

    @property
    def paths(self) -> dict[str, Path]:
        """Files by name, shipped models first; the first use lists the folders."""
        if self._folder != os.environ.get(MODEL_FOLDER):
            self.load()
        return self._paths

    def header(self, name: str | None) -> ModelHeader:
        """Config and provenance of a model.

        Raises
        ------
        ModelError, RequestError
            If there is none of that name, or its file is no model.
        """
        path = self.paths.get(name or "")
        if path is None:
            raise RequestError("There is no model; put a .safetensors file in the models folder.")
        return read_header(path)

    def name_of(self, path: Path) -> str:
        """The name of a weights file; its path if it is none of the models folders'."""
        return next((name for name, known in self.paths.items() if known == path), str(path))

    def load(self) -> None:
        """List the folders now; from any thread, and without a signal."""
        self._folder, self._paths = os.environ.get(MODEL_FOLDER), list_models()

    def refresh(self) -> None:
        """List the folders in a thread, then say if anything has changed."""

        def answer(before: dict[str, Path]) -> None:
            if self._paths != before:
                self.changed.emit()

        before = self._paths
        in_background(self.load, lambda _: answer(before))


MODELS = ModelList()
"""Of this process: every dock offers the same."""
