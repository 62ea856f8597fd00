"""Who sees to it that one fine-tuning runs at a time in a dock, and that it is heard of."""

from __future__ import annotations

import functools
import threading
from typing import Any

from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.plugin.finetune_run import FinetuneJob, FinetuneRun, Outcome
from napari_cwtnet.plugin.model_news import MODEL_NEWS

REFRESH_MS = 250


class Finetuner(QObject):
    """Runs a job in a thread, and looks at it four times a second.

    Lives on the GUI thread and waits for nothing. When it goes, or the application ends, the run
    ends after the step at hand and saves its state.

    Attributes
    ----------
    changed : Signal
        There is something new to show about the run.
    finished : Signal(Outcome)
        The run has ended.
    """

    changed = Signal()
    finished = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.run: FinetuneRun | None = None
        """The run at work, or the last one."""
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self._look)
        self._at_work: list[FinetuneRun] = []
        self._gone = threading.Event()
        stop = functools.partial(_abandon, self._at_work, self._gone)
        self.destroyed.connect(stop)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(stop)

    @property
    def busy(self) -> bool:
        """Whether a run is at work."""
        return bool(self._at_work)

    def start(self, job: FinetuneJob) -> FinetuneRun:
        """Begin a job.

        Raises
        ------
        TrainingError
            If one is at work.
        """
        if self.busy:
            raise TrainingError("A fine-tuning is at work in this dock; stop it first, or wait.")
        run = self.run = FinetuneRun(job)
        self._at_work[:] = [run]
        run.start()
        self._timer.start()
        self.changed.emit()
        return run

    def pause(self) -> None:
        """Let the run rest after the step at hand."""
        self._tell(FinetuneRun.pause)

    def go_on(self) -> None:
        """End the rest."""
        self._tell(FinetuneRun.go_on)

    def stop(self) -> None:
        """End the run after the step at hand; the best model is kept."""
        self._tell(FinetuneRun.stop)

    def abandon(self) -> None:
        """End the run at once and save it, to be taken up again."""
        self._tell(FinetuneRun.abandon)

    def _tell(self, what: Any) -> None:
        if self.busy and self.run is not None:
            what(self.run)
            self.changed.emit()

    def _look(self) -> None:
        run = self.run
        if run is None or self._gone.is_set():
            self._timer.stop()
            return
        outcome: Outcome | None = run.outcome
        if outcome is not None:
            run.join()
            self._at_work.clear()
            self._timer.stop()
            if outcome.installed is not None:
                MODEL_NEWS.changed.emit()
        self.changed.emit()
        if outcome is not None:
            self.finished.emit(outcome)


def _abandon(runs: list[FinetuneRun], gone: threading.Event, *_: Any) -> None:
    gone.set()
    for run in runs:
        run.abandon("the window was closed")
    runs.clear()  # nobody looks at them any more, but the application may know of this list
