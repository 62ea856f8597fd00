"""How far a file is written."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with the parts done and the parts in all; what it raises ends the writing."""


class Count:
    """Counts parts of a file, and tells."""

    def __init__(self, progress: Progress | None = None) -> None:
        self.total = 1
        self._done = 0
        self._progress = progress

    def one_more(self) -> None:
        """A part is written."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self.total)
