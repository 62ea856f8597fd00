"""A piece of inspection, or a check, in a thread of its own; the window looks at it when it likes.

Nothing here knows of Qt: the thread writes, the window's timer reads, and no signal crosses over.
Nor does the thread hold anything of the window's, which it would destroy if it were the last to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import CancelledError
from napari_cwtnet.plugin.device_turns import TURNS
from napari_cwtnet.plugin.engines import leave_a_core_to_the_window
from napari_cwtnet.plugin.faults import fault_words

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
