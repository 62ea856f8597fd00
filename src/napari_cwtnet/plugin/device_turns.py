"""Who may use the device now: what somebody waits for comes first, training fills the rest.

An enhancement, a look inside and an export never wait: they begin beside the training step at
hand, which takes a second at most, and no further step begins before they are done. So they cost
training no more than their own time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class DeviceTurns:
    """Counts those who come first; any thread may ask."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._first = 0

    @property
    def taken(self) -> bool:
        """Whether somebody who comes first is at work."""
        return self._first > 0

    @contextlib.contextmanager
    def first(self) -> Iterator[None]:
        """Within the block, whoever :meth:`wait` s goes on waiting."""
        with self._changed:
            self._first += 1
        try:
            yield
        finally:
            with self._changed:
                self._first -= 1
                self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait, for ``seconds`` at most, until nobody comes first; whether it has come to that."""
        with self._changed:
            return self._changed.wait_for(lambda: self._first == 0, seconds)


TURNS = DeviceTurns()
"""Of this process: all viewers and docks share the device."""
