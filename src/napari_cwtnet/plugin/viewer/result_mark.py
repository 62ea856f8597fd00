"""A mark over a result of the Enhance dock, on what is not to be relied on."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Engine
from napari_cwtnet.errors import RequestError
from napari_cwtnet.inspection.calibration import Calibration, calibrated, marked_squares
from napari_cwtnet.plugin.tasks.device import ENGINES, MODELS_IN_USE
from napari_cwtnet.plugin.tasks.runner import Ending, Run, Steps, Task, TaskRunner
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.map_layers import MapLayers
from napari_cwtnet.plugin.viewer.selection import ERROR_KEY, MARK_KEY, Source, holds, source_of

_TRUST = "trust"
_NOTHING = "There is no result to mark; enhance the view or an ROI first."
_UNKNOWN = (
    "The model of this result does not predict its error; choose another, such as a shipped one."
)


def share_words(share: float) -> str:
    """A share of the area, which is nothing only if it is 0.

    >>> share_words(0), share_words(0.002), share_words(0.25)
    ('Nothing', 'Under 1 %', '25 %')
    """
    if share == 0:
        return "Nothing"
    return "Under 1 %" if share < 0.01 else f"{100 * share:.0f} %"


class _MarkRun(Run):
    name, kind = "mark", "Marking"


class ResultMark(QObject):
    """The mark of the result that is meant, while it is wanted.

    A slide is calibrated once for results of one kind; other results of that kind wait for it.

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
    brief : str
        The same in some words.
    """

    changed = Signal()

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.runner = TaskRunner(self)
        self.layers = MapLayers(viewer)
        self.wanted = False
        self.words = self.brief = ""
        self._viewer = viewer
        self._layer: Any = None
        """The result that is meant."""
        self._marked: Any = None
        """The predicted error that the mark is made of, or will be: another is another picture."""
        self._kind: Hashable = None
        """The kind of results that `_calibration` is of, or will be."""
        self._calibration: Calibration | None = None
        self._aside = False
        self.runner.changed.connect(self._show_work)
        self.runner.ended.connect(self._on_end)

    def want(self, wanted: bool, layer: Any) -> None:
        """Mark the result in a layer from now on, or no longer."""
        self.wanted = wanted
        if wanted:
            self.follow(layer)
        else:
            self._forget("")

    def follow(self, layer: Any) -> None:
        """Mark the result that is meant now, if it has other pixels than the one that is marked."""
        if not self.wanted:
            return
        self._layer = layer
        source = source_of(layer) if holds(self._viewer, layer) else None
        if source is None:
            self._forget(_NOTHING)
        elif not source.job.header.predicts_error:
            self._forget(_UNKNOWN)
        else:
            error = layer.metadata.get(ERROR_KEY)
            if error is not self._marked:
                self._marked = error  # first, for napari says at once that the old mark goes
                self.layers.clear()
                if error is None:  # it is at work
                    self._say("")
                else:
                    self._mark(layer, source, error)

    def _mark(self, layer: Any, source: Source, error: NDArray[np.float32]) -> None:
        job, plan = source.job, source.plan
        kind = (job.slide.opened, job.model, job.device, job.dtype, plan.mode, plan.downsample,
                plan.sharpness, layer.metadata[RESULT_KEY]["model_sha256"])  # fmt: skip
        if kind != self._kind:
            self._kind, self._calibration = kind, None
            self._calibrate(layer, source)
        elif self._calibration is not None:
            self._show(layer, source, error, self._calibration)
        elif not self.runner.busy:  # it was cancelled, or failed
            self._calibrate(layer, source)

    def _calibrate(self, layer: Any, source: Source) -> None:
        job, plan, wanted = source.job, source.plan, layer.metadata[RESULT_KEY]["model_sha256"]

        def work(cancel: CancelToken, steps: Steps) -> Calibration:
            with MODELS_IN_USE.by(job.model):
                engine = _engine(source, wanted)
                return calibrated(job.slide, engine, plan, cancel=cancel, progress=steps)

        def answer(found: Calibration) -> None:
            self._calibration, self._marked = found, None
            self.follow(self._layer)

        self.runner.submit(Task("Calibrating on this slide…", lambda: _MarkRun(work), answer))

    def _show(
        self, layer: Any, source: Source, error: NDArray[np.float32], calibration: Calibration
    ) -> None:
        if calibration.threshold is None:
            self._say(calibration.sentence)
            _record(layer, calibration, None)
            return
        job, plan, wanted = source.job, source.plan, layer.metadata[RESULT_KEY]["model_sha256"]
        image = np.ascontiguousarray(layer.data[..., :3])

        def work(*_: Any) -> NDArray[np.bool_]:
            with MODELS_IN_USE.by(job.model):
                engine = _engine(source, wanted)
                return marked_squares(job.slide, engine, plan, image, calibration, error=error)

        def answer(squares: NDArray[np.bool_]) -> None:
            if self.wanted and error is self._marked and holds(self._viewer, layer):
                self.layers.show_mark_alone(source.slide_layer, plan, squares)
                self._hide_with(layer)
                layer.events.visible.connect(self._on_visible)
                share = f"{share_words(float(squares.mean()))} marked"
                self._say(f"{share}. {calibration.sentence}", share)
                _record(layer, calibration, squares)

        self.runner.submit(Task("Marking…", lambda: _MarkRun(work), answer))

    def set_aside(self, aside: bool) -> None:
        """Hide the mark while the result is compared, or show it again."""
        if aside != self._aside:
            self._aside = aside
            if holds(self._viewer, self._layer):
                self._hide_with(self._layer)

    def _on_visible(self, event: Any) -> None:
        if event.source.metadata.get(ERROR_KEY) is self._marked:
            self._hide_with(event.source)

    def _hide_with(self, layer: Any) -> None:
        for mark in self.layers.layers:
            mark.visible = layer.visible and not self._aside

    def _forget(self, words: str) -> None:
        self._marked = None
        self.runner.cancel()
        self.layers.clear()
        self._say(words)

    def _say(self, words: str, brief: str = "No mark; the reason is below") -> None:
        if words != self.words:
            self.words, self.brief = words, brief if words else ""
            self.changed.emit()

    def _show_work(self) -> None:
        if self.runner.busy and self.wanted and self._marked is not None:
            self._say(self.runner.words, self.runner.words)

    def _on_end(self, ending: Ending) -> None:
        if ending.kind == "failed" and self.wanted:
            self._say(ending.message)


def _engine(source: Source, sha256: str) -> Engine:
    """The model of a result.

    Raises
    ------
    RequestError
        If its file holds other weights by now.
    """
    job = source.job
    engine = ENGINES.get(job.model, job.device, job.dtype)
    if engine.model.sha256 != sha256:
        raise RequestError(
            f"Model {engine.model.name!r} has other weights than made this result; enhance again."
        )
    return engine


def is_calibrated(layer: Any) -> bool:
    """Whether a layer is a result that was marked."""
    return layer is not None and _TRUST in layer.metadata.get(RESULT_KEY, {})


def _record(layer: Any, calibration: Calibration, squares: NDArray[np.bool_] | None) -> None:
    """Add promise and mark to what is known of a result, for its exports."""
    known = {**layer.metadata[RESULT_KEY], _TRUST: calibration.record_of(squares)}
    layer.metadata = {**layer.metadata, RESULT_KEY: known, MARK_KEY: squares}
