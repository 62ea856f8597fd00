"""A piece of inspection, or a check, in a thread of its own; the window looks at it when it likes.

Nothing here knows of Qt: the thread writes, the window's timer reads, and no signal crosses over.
Nor does the thread hold anything of the window's, which it would destroy if it were the last to.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from napari.utils.notifications import show_error
from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import CancelledError
from napari_cwtnet.plugin.tasks.device import TURNS, leave_a_core_to_the_window
from napari_cwtnet.plugin.tasks.runner import fault_words

Steps = Callable[[int, int], None]
Work = Callable[[CancelToken, Steps], Any]
"""Takes the token that stops it and a function to tell steps done and steps in all."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be computed, and who wants to know."""

    words: str
    """What the dock says while it is at work."""
    work: Work
    """Holds nothing of Qt's or napari's, and touches nothing of theirs."""
    answer: Callable[[Any], None]
    """Called in the window's thread with what ``work`` gave, if it was not superseded."""
    kind: str = "Inspection"
    """Names the thread, and what failed where it does."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a task ended."""

    kind: Literal["done", "cancelled", "failed"]
    value: Any = None
    message: str = ""
    """Why it failed, one line."""


class TaskRun:
    """Work in a thread.

    Attributes
    ----------
    done, total : int
        Steps.
    ending : Ending or None
        Set last of all, and once.
    """

    def __init__(self, work: Work, kind: str) -> None:
        self._work, self._kind = work, kind
        self.done = 0
        self.total = 0
        self.ending: Ending | None = None
        self._cancel = CancelToken()
        self._thread = threading.Thread(target=self._run, name=f"napari-cwtnet {kind.lower()}")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self, reason: str = "cancelled") -> None:
        """Ask it to end after the step that it is at."""
        self._cancel.cancel(reason)

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._cancel.cancelled

    def join(self) -> None:
        """Wait for the thread; at once where ``ending`` is set."""
        self._thread.join()

    def _step(self, done: int, total: int) -> None:
        self.total, self.done = total, done

    def _run(self) -> None:
        try:
            leave_a_core_to_the_window()
            with TURNS.first():
                ending = Ending("done", self._work(self._cancel, self._step))
        except CancelledError:
            ending = Ending("cancelled")
        except Exception as error:  # noqa: BLE001 - the window must not wait for ever
            memory = (
                "The device ran out of memory; close other programs or zoom in, so that the region "
                "is smaller."
            )
            ending = Ending("failed", message=fault_words(error, self._kind, memory))
        self.ending = ending


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
