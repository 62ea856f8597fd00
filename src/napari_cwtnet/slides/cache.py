"""Decoded tiles, kept within a byte budget and shared by all slides of the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from napari_cwtnet.slides.forking import renewed_after_fork

DEFAULT_BYTES = 256 * 2**20

Tile = NDArray[np.uint8]
Key = tuple[Hashable, int, int, int]


class TileCache:
    """Least recently used tiles go first; a tile wanted by many threads is decoded once.

    Parameters
    ----------
    max_bytes : int
        Upper bound of the pixels kept.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self._tiles: LRUCache[Key, Tile] = LRUCache(max_bytes, getsizeof=lambda tile: tile.nbytes)
        self._decoding: dict[Key, Future[Tile]] = {}
        self._lock = threading.Lock()
        renewed_after_fork(self)

    def renew_after_fork(self) -> None:
        """Keep no tile: another thread may have been in the middle of keeping one."""
        self._tiles = LRUCache(self._tiles.maxsize, getsizeof=lambda tile: tile.nbytes)
        self._decoding = {}
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels kept now."""
        with self._lock:
            return int(self._tiles.currsize)

    def get(self, key: Key, decode: Callable[[], Tile]) -> Tile:
        """The tile of ``key``, read-only; from ``decode`` where it is not kept.

        Whatever ``decode`` raises reaches every thread that waits for this tile; nothing is kept.
        """
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                return tile
            future = self._decoding.get(key)
            mine = future is None
            if future is None:
                future = self._decoding[key] = Future()
        if not mine:
            return future.result()
        try:
            tile = decode()
            tile.flags.writeable = False
        except BaseException as error:
            with self._lock:
                del self._decoding[key]
            future.set_exception(error)
            raise
        with self._lock:
            if tile.nbytes <= self._tiles.maxsize:
                self._tiles[key] = tile
            del self._decoding[key]
        future.set_result(tile)
        return tile

    def forget(self, owner: Hashable) -> None:
        """Drop the tiles of one owner, the first part of their keys."""
        with self._lock:
            for key in [key for key in self._tiles if key[0] == owner]:
                del self._tiles[key]


SHARED_CACHE = TileCache()
