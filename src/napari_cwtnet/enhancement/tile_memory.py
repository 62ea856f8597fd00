"""Finished tiles, kept within a byte budget."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Computed:
    """The SR pixels of a tile and how they came about."""

    sr: NDArray[np.uint8]
    """``(h, w, 3)``, those that count."""
    background: bool = False
    """Nothing is there: they are bicubic."""
    repeated: bool = False
    """Half precision gave values that are not finite: they are float32's."""
    parts: int = 1
    """In how many pieces, for want of memory."""


class TileMemory:
    """The least recently used tiles go first; any thread may ask.

    Parameters
    ----------
    budget : int
        Bytes; 0 keeps nothing.
    """

    def __init__(self, budget: int) -> None:
        self._lock = threading.Lock()
        self._kept: LRUCache[Hashable, Computed] = LRUCache(budget, lambda tile: tile.sr.nbytes)

    def get(self, key: Hashable) -> Computed | None:
        """The tile of that key, if it is still there."""
        with self._lock:
            return self._kept.get(key)

    def keep(self, key: Hashable, tile: Computed) -> None:
        """Remember a tile, if the budget bears it."""
        with self._lock:
            if tile.sr.nbytes <= self._kept.maxsize:
                self._kept[key] = tile

    def forget(self) -> None:
        """Drop every tile."""
        with self._lock:
            self._kept.clear()
