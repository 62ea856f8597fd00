"""Runs one piece of inspection, or one check, at a time, and hands over its answer."""

from __future__ import annotations

import weakref

from napari.utils.notifications import show_error
from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

from napari_cwtnet.plugin.inspect_run import Ending, Task, TaskRun

LOOK_MS = 60


class Inspector(QObject):
    """Runs tasks, the newest only, each in a thread.

    Lives on the GUI thread. A newer task cancels the one at work and begins when that has ended;
    the answer of an older one is not given any more.

    Attributes
    ----------
    changed : Signal
        There is something new to show: progress, or an end.
    ended : Signal(Ending)
        The newest task has ended, and its answer, if there is one, has been given.
    """

    changed = Signal()
    ended = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._task: Task | None = None
        self._run: TaskRun | None = None
        """Of ``_task``."""
        self._waiting: Task | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look)
        # The window may go while a task is at work: its thread then ends by itself.
        # Not told by `destroyed`: in a garbage collection Python's half may be gone by then.
        self._at_work: list[TaskRun] = []
        gone = weakref.finalize(self, _abandon, self._at_work)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(gone)

    @property
    def busy(self) -> bool:
        """Whether a task is at work or waits."""
        return self._run is not None or self._waiting is not None

    @property
    def words(self) -> str:
        """What it is at."""
        task = self._waiting or self._task
        if task is None:
            return ""
        run = self._run
        if run is not None and self._waiting is None:
            if run.cancelled:
                return "Cancelling…"
            if run.total:
                return f"{task.words} {run.done} of {run.total}"
        return task.words

    @property
    def progress(self) -> tuple[int, int]:
        """Steps done and in all of the newest task; (0, 0) while nothing can be said."""
        run = self._run
        return (0, 0) if run is None or self._waiting is not None else (run.done, run.total)

    def start(self, task: Task) -> None:
        """Begin a task, in place of any other."""
        if self._run is not None:
            self._waiting = task
            self._run.cancel("a newer request came")
        else:
            self._begin(task)
        self.changed.emit()

    def cancel(self) -> None:
        """End the work after the step it is at."""
        self._waiting = None
        if self._run is not None:
            self._run.cancel()
            self.changed.emit()

    def _begin(self, task: Task) -> None:
        self._waiting, self._task = None, task
        self._run = TaskRun(task.work, task.kind)
        self._at_work[:] = [self._run]
        self._run.start()
        self._timer.start()

    def _look(self) -> None:
        run, task = self._run, self._task
        if run is None or task is None:
            self._timer.stop()
            return
        ending = run.ending
        if ending is None:
            self.changed.emit()
            return
        run.join()
        if run.cancelled and ending.kind == "done":
            ending = Ending("cancelled")  # what it is about may be gone
        self._run = self._task = None
        self._at_work.clear()
        if self._waiting is not None:
            self._begin(self._waiting)
            self.changed.emit()
            return
        self._timer.stop()
        self._end(task, ending)

    def _end(self, task: Task, ending: Ending) -> None:
        if ending.kind == "done":
            task.answer(ending.value)
        if not isalive(self):  # napari answers events while it adds a layer
            return
        self.changed.emit()
        if ending.kind == "failed":
            show_error(ending.message)
        self.ended.emit(ending)


def _abandon(runs: list[TaskRun]) -> None:
    for run in runs:
        run.cancel("the window was closed")
