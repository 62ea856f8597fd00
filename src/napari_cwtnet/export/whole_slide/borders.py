"""Tiles that lie on the border of two blocks: computed with the first, used by the second."""

from __future__ import annotations

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
BUDGET = 128 * 2**20


class BorderTiles:
    """Finished tiles that other blocks need too, within a byte budget.

    Parameters
    ----------
    max_bytes : int
        Upper bound of the pixels kept; what was kept first goes first.
    """

    def __init__(self, max_bytes: int = BUDGET) -> None:
        self._tiles: LRUCache[tuple[int, int], Pixels] = LRUCache(
            max_bytes, getsizeof=lambda tile: tile.nbytes
        )
        self._uses: dict[tuple[int, int], int] = {}

    def keep(self, index: tuple[int, int], sr: Pixels, uses: int) -> None:
        """Remember the SR pixels ``(h, w, 3)`` of a tile that so many other blocks will need."""
        if uses > 0 and sr.nbytes <= self._tiles.maxsize:
            self._tiles[index] = sr
            self._uses[index] = uses
            if len(self._uses) > 2 * len(self._tiles):  # those of tiles that had to go
                self._uses = {key: self._uses[key] for key in self._tiles}

    def take(self, index: tuple[int, int]) -> Pixels | None:
        """The pixels of a tile, if they are here; dropped with their last use."""
        sr: Pixels | None = self._tiles.get(index)
        if sr is None:
            return None
        self._uses[index] -= 1
        if self._uses[index] <= 0:
            del self._tiles[index], self._uses[index]
        return sr
