"""Who sees to it that one enhancement runs at a time, and that its tiles come on the screen."""

from __future__ import annotations

import functools
import threading
from collections.abc import Hashable
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

from napari_cwtnet.errors import RequestError
from napari_cwtnet.plugin.engines import Engines
from napari_cwtnet.plugin.enhance_run import Job, Outcome, Run
from napari_cwtnet.plugin.result_layer import ResultLayer

REFRESH_MS = 100


class Enhancer(QObject):
    """Runs jobs, the newest only, each in a thread; grows their layers at most ten times a second.

    Lives on the GUI thread. A newer job cancels the one at work and begins when that has ended,
    within one tile; nothing of the older one is shown any more.

    Attributes
    ----------
    changed : Signal
        There is something new to show about the run: progress, phase or end.
    finished : Signal(Outcome)
        The newest job has ended: done, cancelled or failed.
    """

    changed = Signal()
    finished = Signal(object)

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.engines = Engines()
        self._results: dict[Hashable, ResultLayer] = {}
        self._kept: list[ResultLayer] = []
        self._run: Run | None = None
        self._result: ResultLayer | None = None
        self._waiting: tuple[Job, Any] | None = None
        self.outcome: Outcome | None = None
        """Of the newest job that has ended, as long as its slide and what it made are shown."""
        self._leaving = False
        self._told: tuple[Any, ...] = ()
        """The layers that `outcome` is about."""
        self.generation = 0
        """Number of the newest job; what belongs to an older one is dropped."""
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self._look)
        # The window may go while a run is at work: its thread then ends by itself after its tile.
        self._at_work: list[Run] = []
        self._gone = threading.Event()
        stop = functools.partial(_abandon, self._at_work, self._gone)
        self.destroyed.connect(stop)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(stop)

    @property
    def busy(self) -> bool:
        """Whether a job is at work or waits."""
        return self._run is not None or self._waiting is not None

    @property
    def run(self) -> Run | None:
        """The run of the newest job, while it is at work."""
        return None if self._waiting is not None else self._run

    @property
    def cancelling(self) -> bool:
        """Whether the newest job is at its last tile because of :meth:`cancel`."""
        return self._waiting is None and self._run is not None and self._run.cancelled

    def start(self, job: Job, slide_layer: Any) -> int:
        """Begin a job, in place of any other; returns its generation."""
        self.generation += 1
        self._leaving = False
        if self._run is not None:
            self._waiting = (job, slide_layer)
            self._run.cancel("a newer request came")
        else:
            self._begin(job, slide_layer)
        self.changed.emit()
        return self.generation

    def cancel(self) -> None:
        """End the work after the tile it is at; finished tiles stay."""
        dropped = self._waiting is not None
        self._waiting = None
        if self._run is not None:
            self._run.cancel()
        if dropped or self._run is not None:
            self.changed.emit()

    def leave(self) -> None:
        """Cancel because the dock goes: no layer is made any more, for the window may go, too."""
        self._leaving = True
        self.cancel()

    def keep(self, layer: Any) -> None:
        """Leave a result's layer as it is: the next run makes one of its own.

        A run that is at work in the layer goes on in it.

        Raises
        ------
        RequestError
            If no run would replace that layer.
        """
        if layer is None:
            raise RequestError("There is no result to keep; enhance the view or an ROI first.")
        key = next((k for k, result in self._results.items() if result.shown == layer), None)
        if key is None:
            raise RequestError(f"Layer {layer.name!r} is kept already: no run replaces it.")
        result = self._results.pop(key)
        self._kept.append(result)  # it has to live on, for it follows the pixel size of its slide
        if self._result is result and self._run is not None and not result.has(self._run):
            self._result = self._layer_for(self._run.job, result.slide_layer)
        result.mark_kept()

    def forget_layer(self, layer: Any) -> None:
        """Let go of a layer that is shown no more, and of what was told of it."""
        self._kept = [one for one in self._kept if one.layer != layer]
        # The one at work may show a layer of its own yet, which later runs then take over.
        self._results = {
            key: one
            for key, one in self._results.items()
            if one is self._result or one.layer != layer
        }
        if self.outcome is not None and any(one == layer for one in self._told):
            self.outcome, self._told = None, ()
            self.changed.emit()

    def release_memory(self) -> None:
        """Let go of networks and finished tiles; result layers stay."""
        self.engines.release()

    def _begin(self, job: Job, slide_layer: Any) -> None:
        self._waiting = None
        self._result = self._layer_for(job, slide_layer)
        self._run = Run(job, self.engines)
        self._at_work[:] = [self._run]
        self._run.start()
        self._timer.start()

    def _layer_for(self, job: Job, slide_layer: Any) -> ResultLayer:
        """Views of one model share a layer, and so do runs over one ROI."""
        place = job.request.region if job.kind == "roi" else None
        key = (slide_layer, job.model, job.request.reference, job.kind, place)
        self._results = {
            k: result for k, result in self._results.items() if result.shown is not None
        }
        return self._results.setdefault(key, ResultLayer(self._viewer, slide_layer))

    def _look(self) -> None:
        run, result = self._run, self._result
        if run is None or result is None:
            self._timer.stop()
            return
        outcome = run.outcome  # before looking at tiles, so that the last ones are seen
        if outcome is None:
            if self._waiting is None and not self._leaving:
                result.show(run)
            # A dock that nobody holds any more may be collected while napari adds the layer.
            if not self._gone.is_set():
                self.changed.emit()
            return
        run.join()
        self._run = self._result = None
        self._at_work.clear()
        if self._waiting is not None:
            result.end(run)
            self._begin(*self._waiting)
            self.changed.emit()
            return
        self._timer.stop()
        if not self._leaving:
            result.show(run)
        result.end(run)
        if self._gone.is_set():
            return
        if outcome.kind == "failed" or not result.gone:
            self.outcome, self._told = outcome, (result.layer, result.slide_layer)
        else:
            self.outcome, self._told = None, ()
        self.changed.emit()
        if outcome.kind == "failed":
            show_error(outcome.message)
        self.finished.emit(outcome)


def _abandon(runs: list[Run], gone: threading.Event, *_: Any) -> None:
    gone.set()
    for run in runs:
        run.cancel("the window was closed")
