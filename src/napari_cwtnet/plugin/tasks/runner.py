"""Work in another thread, and its answer in the window's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from napari.qt.threading import create_worker
from napari.utils.notifications import show_error

from napari_cwtnet.errors import CwtnetError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer, in one line."""

    message: str


def in_background(
    work: Callable[[], T],
    answer: Callable[[T], None],
    failed: Callable[[str], None] = show_error,
    at_the_end: Callable[[], None] | None = None,
) -> Any:
    """Run ``work`` in a thread, then ``answer`` or ``failed`` in the window's.

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

    Returns
    -------
    FunctionWorker
        napari's, already started.
    """

    def guarded() -> T | Failure:
        try:
            return work()
        except CwtnetError as error:
            return Failure(str(error))
        except Exception as error:  # a worker would drop it, and somebody wait for ever
            logging.getLogger(__name__).exception("work in the background failed")
            first = next(iter(str(error).strip().splitlines()), "")
            return Failure(f"{type(error).__name__}: {first}")

    def deliver(result: T | Failure) -> None:
        if isinstance(result, Failure):
            failed(result.message)
        else:
            answer(result)

    worker = create_worker(guarded, _start_thread=False, _ignore_errors=True)
    # Connected before the start: what a quick worker emits would be lost otherwise.
    worker.returned.connect(deliver)
    if at_the_end is not None:
        worker.finished.connect(at_the_end)
    worker.start()
    return worker


def fault_words(error: Exception, work: str, no_memory: str) -> str:
    """The message of an error; one that nobody foresaw is a fault, and logged.

    Parameters
    ----------
    error : Exception
        Whatever ended the work: the window must not wait for ever.
    work : str
        What failed, such as ``"Inspection"``.
    no_memory : str
        What to say, and to do, where there was not enough memory.
    """
    if isinstance(error, CwtnetError):
        return str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return no_memory
    logging.getLogger(__name__).error("%s failed", work, exc_info=error)
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{work} failed: {type(error).__name__}: {first}"
