"""A contour over a result of the Enhance dock, round what is not to be relied on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.inspection.calibration import Calibration, calibrated, marked_squares
from napari_cwtnet.plugin.tasks.device import ENGINES
from napari_cwtnet.plugin.tasks.runner import Ending, Run, Steps, Task, TaskRunner
from napari_cwtnet.plugin.viewer.map_layers import MapLayers
from napari_cwtnet.plugin.viewer.selection import ERROR_KEY, Source, holds, source_of

_NOTHING = "There is no result to mark; enhance the view or an ROI first."
_UNKNOWN = (
    "The model of this result does not predict its error; choose another, such as a shipped one."
)

Found = tuple[Calibration, NDArray[np.bool_]]


class ResultMark(QObject):
    """The mark of the result that is meant, while it is wanted.

    Parameters
    ----------
    viewer : Viewer
        Where results and their marks are.

    Attributes
    ----------
    changed : Signal
        `words` are others.
    wanted : bool
        Whether there is to be a mark.
    words : str
        What the mark promises, why there is none, or what is at work.
    """

    changed = Signal()

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.runner = TaskRunner(self)
        self.layers = MapLayers(viewer)
        self.wanted = False
        self.words = ""
        self._viewer = viewer
        self._marked: Any = None
        """The predicted error that the mark was made of: another one is another picture."""
        self.runner.changed.connect(self._show_work)
        self.runner.ended.connect(self._on_end)

    def want(self, wanted: bool, layer: Any) -> None:
        """Mark the result in a layer from now on, or no longer."""
        self.wanted = wanted
        if not wanted:
            self.runner.cancel()
            self._forget("")
        self.follow(layer)

    def follow(self, layer: Any) -> None:
        """Mark the result that is meant now, if it has other pixels than the one that is marked."""
        if not self.wanted:
            return
        source = source_of(layer) if holds(self._viewer, layer) else None
        if source is None:
            self._forget(_NOTHING)
            return
        error = layer.metadata.get(ERROR_KEY)
        if error is None:  # it is at work, or its model predicts none
            self._forget("" if source.job.header.predicts_error else _UNKNOWN)
        elif error is not self._marked:
            self._marked = error  # first, for napari says at once that the old mark goes
            self.layers.clear()
            self._start(layer, source, error)

    def _start(self, layer: Any, source: Source, error: NDArray[np.float32]) -> None:
        job, plan, image = source.job, source.plan, np.ascontiguousarray(layer.data[..., :3])

        def work(cancel: CancelToken, steps: Steps) -> Found:
            engine = ENGINES.get(job.model, job.device, job.dtype)
            found = calibrated(job.slide, engine, plan, cancel=cancel, progress=steps)
            return found, marked_squares(job.slide, engine, plan, image, found, error=error)

        def answer(found: Found) -> None:
            calibration, squares = found
            if error is self._marked and holds(self._viewer, layer):
                self.layers.show_mark_alone(source.slide_layer, plan, squares)
                self._hide_with(layer)
                layer.events.visible.connect(self._on_visible)
                self._say(f"{100 * squares.mean():.0f} % marked. {calibration.sentence}")

        self.runner.submit(Task("Calibrating on this slide…", lambda: Run(work), answer))

    def _on_visible(self, event: Any) -> None:
        if event.source.metadata.get(ERROR_KEY) is self._marked:
            self._hide_with(event.source)

    def _hide_with(self, layer: Any) -> None:
        for mark in self.layers.layers:
            mark.visible = layer.visible

    def _forget(self, words: str) -> None:
        self._marked = None
        self.layers.clear()
        self._say(words)

    def _say(self, words: str) -> None:
        if words != self.words:
            self.words = words
            self.changed.emit()

    def _show_work(self) -> None:
        if self.runner.busy:
            done, total = self.runner.progress
            self._say(
                f"{self.runner.words} {done} of {total} fields" if total else self.runner.words
            )

    def _on_end(self, ending: Ending) -> None:
        if ending.kind == "failed":
            self._say(ending.message)
