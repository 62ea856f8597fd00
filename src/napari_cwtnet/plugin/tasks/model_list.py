"""The models that can be chosen: kept in memory, so that the window's thread lists no folder.

The user's own can be added, renamed and deleted; the disk is touched beside the window's thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from qtpy.QtCore import QObject, Signal

from napari_cwtnet.errors import ModelError, RequestError
from napari_cwtnet.model import list_models
from napari_cwtnet.model.library import add_model, delete_model, is_own, rename_model
from napari_cwtnet.model.registry import MODEL_FOLDER
from napari_cwtnet.model.weights import ModelHeader, read_header
from napari_cwtnet.plugin.tasks.device import MODELS_IN_USE
from napari_cwtnet.plugin.tasks.runner import in_background

T = TypeVar("T")


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

    def hindrance(self, name: str | None) -> str:
        """Why a model can be neither renamed nor deleted; empty where it can."""
        path = self.paths.get(name or "")
        if path is None:
            return "There is no model."
        if not is_own(path):
            return "This model is shipped with the program."
        return "This model is at work; wait for its end." if path in MODELS_IN_USE else ""

    def add(self, path: Path, answer: Callable[[str], None]) -> None:
        """Copy a weights file into the user's folder; ``answer`` takes its name there.

        An error is shown in one line, as in the two below.
        """
        self._change(lambda: add_model(path), answer)

    def rename(self, name: str, wanted: str, answer: Callable[[str], None]) -> None:
        """Give an own model that is not at work another name, which ``answer`` takes."""

        def work() -> str:
            self._refuse_taken(name)
            return rename_model(name, wanted)

        self._change(work, answer)

    def delete(self, name: str) -> None:
        """Delete the file of an own model that is not at work."""

        def work() -> None:
            self._refuse_taken(name)
            delete_model(name)

        self._change(work, lambda _: None)

    def _refuse_taken(self, name: str) -> None:
        hindrance = self.hindrance(name)
        if hindrance:
            raise ModelError(f"{name}: {hindrance}")

    def _change(self, work: Callable[[], T], answer: Callable[[T], None]) -> None:
        def change() -> T:
            found = work()
            self.load()
            return found

        def done(found: T) -> None:
            self.changed.emit()
            answer(found)

        in_background(change, done)

    def refresh(self) -> None:
        """List the folders in a thread, then say if anything has changed."""

        def answer(before: dict[str, Path]) -> None:
            if self._paths != before:
                self.changed.emit()

        before = self._paths
        in_background(self.load, lambda _: answer(before))


MODELS = ModelList()
"""Of this process: every dock offers the same."""
