"""Runs work in threads for the window: the newest task wins, and all of them end with the window.

The thread writes and the window's timer reads, so that no signal crosses over. The thread holds
nothing of the window's, which it would destroy if it were the last to.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

import torch
from napari.utils.notifications import show_error
from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import CancelledError, CwtnetError
from napari_cwtnet.plugin.tasks.device import ARBITER, limit_threads

T = TypeVar("T")
Steps = Callable[[int, int], None]
Work = Callable[[CancelToken, Steps], Any]
"""Takes the token that stops it, and a function that notes steps done and steps in all."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended."""

    kind: Literal["done", "cancelled", "failed"]
    value: Any = None
    """What the work gave."""
    message: str = ""
    """Why it failed, one line."""


class Run:
    """Work in a thread of its own.

    Parameters
    ----------
    work : callable
        Holds nothing of Qt's or napari's, and touches nothing of theirs.

    Attributes
    ----------
    done, total : int
        Steps.
    outcome : Ending
        None while it is at work; set last of all, and once. A subclass may give another type.
    """

    name: ClassVar[str] = "inspection"
    """Of the thread."""
    kind: ClassVar[str] = "Inspection"
    """Names what failed."""
    priority: ClassVar[bool] = True
    """Whether training waits for it."""
    no_memory: str = (
        "The device ran out of memory; close other programs or zoom in, so that the region is "
        "smaller."
    )
    """What to say, and to do, if memory runs out."""

    def __init__(self, work: Work | None = None) -> None:
        self._work = work
        self.done = 0
        self.total = 0
        self.outcome: Any = None
        self._token = CancelToken()
        self._thread = threading.Thread(target=self._run, name=f"napari-cwtnet {self.name}")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self, reason: str = "cancelled") -> None:
        """Ask it to end after its current step."""
        self._token.cancel(reason)

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._token.cancelled

    def join(self, seconds: float | None = None) -> None:
        """Wait for the thread; returns at once if ``outcome`` is set."""
        self._thread.join(seconds)

    def work(self) -> Any:
        """What is done in the thread."""
        return None if self._work is None else self._work(self._token, self._step)

    def conclude(self, ending: Ending) -> Any:
        """The outcome, from how the work ended; called in the thread."""
        return ending

    def _step(self, done: int, total: int) -> None:
        self.total, self.done = total, done

    def _run(self) -> None:
        try:
            if self.priority:
                limit_threads()
            with ARBITER.priority() if self.priority else contextlib.nullcontext():
                ending = Ending("done", self.work())
        except CancelledError:
            ending = Ending("cancelled")
        except Exception as error:  # noqa: BLE001 - the window must not wait for ever
            ending = Ending("failed", message=fault_words(error, self.kind, self.no_memory))
        self.outcome = self.conclude(ending)


@dataclass(frozen=True, slots=True)
class Task:
    """A run to be, and what the window does about it; all of it on the GUI thread."""

    words: str
    """What the dock says meanwhile."""
    begin: Callable[[], Run]
    """Makes the run, which is then started."""
    answer: Callable[[Any], None] = lambda _: None
    """Called with the value of a run that is done."""
    show: Callable[[Any], None] = lambda _: None
    """Called with the run at every look, while it is the newest."""
    end: Callable[[Any, bool], None] = lambda *_: None
    """Called with the run when it has ended, and whether it was the newest; before `ended`."""


LOOK_MS = 60


class TaskRunner(QObject):
    """Runs tasks, the newest only, each in a thread.

    Lives on the GUI thread and waits for nothing. A newer task cancels the present one and begins
    when that has ended; the older one is shown no longer. When the window goes, or the
    application ends, a run ends by itself after its current step.

    Attributes
    ----------
    changed : Signal
        There is something new to show: progress, phase or end.
    ended : Signal(outcome)
        The newest run has ended.
    generation : int
        Number of the newest task.
    """

    changed = Signal()
    ended = Signal(object)

    def __init__(self, parent: QObject | None = None, look_ms: int = LOOK_MS) -> None:
        super().__init__(parent)
        self.generation = 0
        self._task: Task | None = None
        self._run: Run | None = None
        """Of ``_task``."""
        self._waiting: Task | None = None
        self._progress = (0, 0)
        self._timer = QTimer(self)
        self._timer.setInterval(look_ms)
        self._timer.timeout.connect(self._look)
        # Qt's half or Python's half may go first, and then says nothing of the other.
        self._at_work: list[Run] = []
        self._gone = threading.Event()
        leave = weakref.finalize(self, _abandon, self._at_work, self._gone)
        self.destroyed.connect(leave)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(leave)

    @property
    def busy(self) -> bool:
        """Whether a task is at work or waits."""
        return self._run is not None or self._waiting is not None

    @property
    def run(self) -> Any:
        """The run of the newest task while it is at work, else None."""
        return None if self._waiting is not None else self._run

    @property
    def cancelling(self) -> bool:
        """Whether the newest run is at its last step because of :meth:`cancel`."""
        run = self.run
        return run is not None and run.cancelled

    @property
    def words(self) -> str:
        """What it does."""
        task, run = self._waiting or self._task, self.run
        if task is None:
            return ""
        if run is not None and run.cancelled:
            return "Cancelling…"
        return f"{task.words} {run.done} of {run.total}" if run and run.total else task.words

    @property
    def progress(self) -> tuple[int, int]:
        """Steps done and in all of the newest run; (0, 0) while they are not known."""
        run = self.run
        return self._progress if run is None else (run.done, run.total)

    def submit(self, task: Task) -> int:
        """Begin a task, in place of any other; returns its generation."""
        self.generation += 1
        if self._run is not None:
            self._waiting, self._progress = task, (0, 0)
            self._run.cancel("a newer request came")
        else:
            self._begin(task)
        self.changed.emit()
        return self.generation

    def cancel(self) -> None:
        """End the work after its current step."""
        dropped, self._waiting = self._waiting is not None, None
        if self._run is not None:
            self._run.cancel()
        if dropped or self._run is not None:
            self.changed.emit()

    @property
    def alive(self) -> bool:
        """Whether both halves are there; napari answers events while it adds a layer."""
        return not self._gone.is_set() and isalive(self)

    def _begin(self, task: Task) -> None:
        self._waiting, self._task = None, task
        self._run = task.begin()
        self._at_work[:] = [self._run]
        self._run.start()
        self._timer.start()

    def _look(self) -> None:
        run, task = self._run, self._task
        if run is None or task is None or self._gone.is_set():
            self._timer.stop()
            return
        outcome = run.outcome  # before the look, so that the last steps are seen
        if outcome is None:
            if self._waiting is None:
                task.show(run)
            if self.alive:
                self.changed.emit()
            return
        run.join()
        self._run = self._task = None
        self._at_work.clear()
        if self._waiting is not None:
            task.end(run, False)
            self._begin(self._waiting)
            self.changed.emit()
            return
        self._timer.stop()
        self._progress = (run.done, run.total)
        self._end(task, run, outcome)

    def _end(self, task: Task, run: Run, outcome: Any) -> None:
        if isinstance(outcome, Ending) and outcome.kind == "done":
            if run.cancelled:  # what it is about may be gone
                outcome = Ending("cancelled")
            else:
                task.answer(outcome.value)
        task.end(run, True)
        if not self.alive:
            return
        self.changed.emit()
        if outcome.kind == "failed":
            show_error(outcome.message)
        self.ended.emit(outcome)


def _abandon(runs: list[Run], gone: threading.Event) -> None:
    gone.set()
    for run in runs:
        run.cancel("the window was closed")
    runs.clear()  # nobody looks at them now, but the application may hold this list


class _Errand(Run):
    name = "background"
    priority = False

    def work(self) -> Any:
        try:
            return super().work()
        except CwtnetError:
            raise
        except Exception as error:
            logging.getLogger(__name__).exception("work in the background failed")
            raise CwtnetError(f"{type(error).__name__}: {_first_line(error)}") from error


_ERRANDS: set[TaskRunner] = set()


class _ErrandRunner(TaskRunner):
    """A runner for one task; kept until that has ended."""

    def _end(self, task: Task, run: Run, outcome: Any) -> None:
        _ERRANDS.discard(self)
        if outcome.kind == "done":
            task.answer(outcome.value)
        task.end(run, True)


def in_background(
    work: Callable[[], T],
    answer: Callable[[T], None],
    failed: Callable[[str], None] = show_error,
    at_the_end: Callable[[], None] | None = None,
) -> None:
    """Run ``work`` in a thread, then ``answer`` or ``failed`` on the GUI thread.

    Parameters
    ----------
    work : callable
        Touches nothing of Qt or napari.
    answer : callable
        Takes what ``work`` gives.
    failed : callable
        Takes the message of a `CwtnetError`; of any other error, which is a fault and is logged,
        its kind and first line.
    at_the_end : callable, optional
        Called last, whatever has happened.
    """

    def end(run: Run, _: bool) -> None:
        if run.outcome.kind == "failed":
            failed(run.outcome.message)
        if at_the_end is not None:
            at_the_end()

    runner = _ErrandRunner(look_ms=10)
    _ERRANDS.add(runner)
    runner.submit(Task("", lambda: _Errand(lambda *_: work()), answer, end=end))


def fault_words(error: Exception, work: str, no_memory: str) -> str:
    """The message of an error; one that nobody foresaw is a fault, and logged.

    Parameters
    ----------
    error : Exception
        Whatever ended the work.
    work : str
        What failed, such as ``"Inspection"``.
    no_memory : str
        What to say, and to do, if memory ran out.
    """
    if isinstance(error, CwtnetError):
        return str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return no_memory
    logging.getLogger(__name__).error("%s failed", work, exc_info=error)
    return f"{work} failed: {type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "")
