"""Ctrl-C as a wish to stop, not as a crash."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

from napari_cwtnet.cancel import CancelToken


@contextlib.contextmanager
def stopped_by_interrupt(
    cancel: CancelToken, words: str = "stopping; the best model is kept"
) -> Iterator[None]:
    """Within the block, Ctrl-C says so and cancels the token; a second one breaks the work off."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        if cancel.cancelled:
            raise KeyboardInterrupt
        print(words, file=sys.stderr)
        cancel.cancel("interrupted")

    previous = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
