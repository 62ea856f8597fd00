"""Memory of a strip's sweep, taken once: one size, or what a single query row needs.

A row alone exceeds that size in a full search of fields wider than some 400 pixels, and then takes
three times the square of the width; the square of the number of pixels it never takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

# Entries of the largest buffer: about 2 MB on a processor, to stay in its cache. An accelerator
# has no such cache, but pays for each call.
_ENTRIES = {"cpu": 1 << 19}
_ENTRIES_ELSEWHERE = 1 << 25


@dataclass(frozen=True, slots=True)
class Buffers:
    """Room for ``rows`` query rows of a strip, and for one more on either side."""

    rows: int
    queries: int
    """Query columns of the strip."""
    depth: int
    """Key rows that a query row meets at once."""
    keys: int
    """Key columns that the strip may look at."""
    _products: Tensor
    _along_x: Tensor
    _sums: Tensor

    @classmethod
    def like(cls, features: Tensor, queries: int, depth: int, keys: int) -> Buffers:
        """For features ``(H, W, C)``; at least one row, at most all of them."""
        entries = _ENTRIES.get(features.device.type, _ENTRIES_ELSEWHERE)
        wide, narrow = (queries + 2) * depth * (keys + 2), queries * depth * keys
        rows = max(1, min(features.shape[0], entries // wide - 2))
        sizes = (rows + 2) * wide, (rows + 2) * narrow, rows * narrow
        return cls(rows, queries, depth, keys, *(features.new_empty(size) for size in sizes))

    def products(self, rows: int, depth: int) -> Tensor:
        """``(rows, queries + 2, depth, keys + 2)``, uninitialised."""
        return _view(self._products, (rows, self.queries + 2, depth, self.keys + 2))

    def along_x(self, rows: int, depth: int) -> Tensor:
        """``(rows, queries, depth, keys)``, uninitialised."""
        return _view(self._along_x, (rows, self.queries, depth, self.keys))

    def sums(self, rows: int, depth: int) -> Tensor:
        """The same, of other memory."""
        return _view(self._sums, (rows, self.queries, depth, self.keys))


def _view(memory: Tensor, shape: tuple[int, ...]) -> Tensor:
    return memory[: math.prod(shape)].view(shape)
