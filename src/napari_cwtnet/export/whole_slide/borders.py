"""Tiles that lie on the border of two blocks: computed with the first, used by the second."""

from __future__ import annotations

from cachetools import LRUCache

from napari_cwtnet.enhancement.engine import TileResult

BUDGET = 128 * 2**20


class BorderTiles:
    """Finished tiles that other blocks need too, within a byte budget.

    Parameters
    ----------
    max_bytes : int
        Upper bound of the pixels kept; what was kept first goes first.
    """

    def __init__(self, max_bytes: int = BUDGET) -> None:
        self._tiles: LRUCache[tuple[int, int], TileResult] = LRUCache(
            max_bytes, getsizeof=lambda kept: kept.sr.nbytes
        )
        self._uses: dict[tuple[int, int], int] = {}

    def keep(self, finished: TileResult, uses: int) -> None:
        """Remember a tile that so many other blocks will need."""
        index = finished.tile.index
        if uses > 0 and finished.sr.nbytes <= self._tiles.maxsize:
            self._tiles[index] = finished
            self._uses[index] = uses
            if len(self._uses) > 2 * len(self._tiles):  # those of tiles that had to go
                self._uses = {key: self._uses[key] for key in self._tiles}

    def take(self, index: tuple[int, int]) -> TileResult | None:
        """A tile, if it is here; dropped with its last use."""
        kept: TileResult | None = self._tiles.get(index)
        if kept is None:
            return None
        self._uses[index] -= 1
        if self._uses[index] <= 0:
            del self._tiles[index], self._uses[index]
        return kept
