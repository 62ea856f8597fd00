"""Memory of a sweep, taken once: its size depends on the width searched, never on its square."""

from __future__ import annotations

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
    samples: int
    queries: int
    """Query columns of the strip."""
    keys: int
    """Key columns that it may look at."""
    _products: Tensor
    _along_x: Tensor
    _sums: Tensor

    @classmethod
    def like(cls, features: Tensor, queries: int, keys: int) -> Buffers:
        """For features ``(N, H, W, C)``; at least one row, at most all of them."""
        samples, height = features.shape[:2]
        entries = _ENTRIES.get(features.device.type, _ENTRIES_ELSEWHERE)
        wide = samples * (queries + 2) * (keys + 2)
        rows = max(1, min(height, entries // wide - 2))
        return cls(
            rows,
            samples,
            queries,
            keys,
            features.new_empty((rows + 2) * wide),
            features.new_empty((rows + 2) * samples * queries * keys),
            features.new_empty(rows * samples * queries * keys),
        )

    def products(self, matrices: int) -> Tensor:
        """``(matrices, queries + 2, keys + 2)``, uninitialised."""
        shape = (matrices, self.queries + 2, self.keys + 2)
        return self._products[: shape[0] * shape[1] * shape[2]].view(shape)

    def along_x(self, rows: int) -> Tensor:
        """``(N, rows, queries, keys)``, uninitialised."""
        return self._four(self._along_x, rows)

    def sums(self, rows: int) -> Tensor:
        """The same, of other memory."""
        return self._four(self._sums, rows)

    def _four(self, memory: Tensor, rows: int) -> Tensor:
        shape = (self.samples, rows, self.queries, self.keys)
        return memory[: self.samples * rows * self.queries * self.keys].view(shape)
