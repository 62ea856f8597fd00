"""Work that goes ahead of whoever wants its results, in order, and stops when nobody does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    workers: int,
    depth: int,
    name: str,
    prepare: Callable[[], object] = lambda: None,
    hurry: bool = False,
) -> Generator[R, None, None]:
    """Results of ``function`` in the order of the items, computed in threads.

    An error, of the function or of the items, comes at its item. Closing the generator drops what
    has not begun, and waits for what has.

    Parameters
    ----------
    function : callable
        Called in a thread with an item.
    items : iterable
        Taken from in the caller's thread, at most ``depth`` more than have been given.
    workers, depth : int
        Threads, and items under way.
    name : str
        Of the threads.
    prepare : callable
        Called first in each thread.
    hurry : bool
        Whether a result is given as soon as it is there, though more items could be taken before.
    """
    waiting: deque[Future[R]] = deque()
    taking, failed = iter(items), None
    with ThreadPoolExecutor(workers, name, prepare) as pool:
        try:
            while True:
                try:
                    item = next(taking)
                except StopIteration:
                    break
                except Exception as error:  # noqa: BLE001  it is raised after what came before it
                    failed = error
                    break
                waiting.append(pool.submit(function, item))
                while len(waiting) >= depth or (hurry and waiting and waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
            if failed is not None:
                raise failed
        finally:
            for future in waiting:
                future.cancel()
            failed = None  # its traceback holds this very frame
