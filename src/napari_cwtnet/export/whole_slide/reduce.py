"""Coarser levels of an image that is too large for the memory, and a view of each level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.export.ome_zarr import CHUNK
from napari_cwtnet.export.pyramid import halve
from napari_cwtnet.export.whole_slide.store import Store

Pixels = NDArray[np.uint8]


def reduce_level(store: Store, level: int, cancel: CancelToken) -> None:
    """Write a level from the next finer one, chunk by chunk: the same means as in memory.

    Raises
    ------
    CancelledError
        Between two chunks.
    """
    width, height = store.sizes[level]
    for y in range(0, height, CHUNK):
        for x in range(0, width, CHUNK):
            cancel.raise_if_cancelled()
            columns, rows = min(CHUNK, width - x), min(CHUNK, height - y)
            finer = store.read(level - 1, 2 * x, 2 * y, 2 * columns, 2 * rows)
            store.write(level, x, y, halve(finer))


class LevelView:
    """A level as ``(height, width, 3)``, of which the chunk looked at last is in memory."""

    def __init__(self, store: Store, level: int) -> None:
        width, height = store.sizes[level]
        self.shape = (height, width, 3)
        self._store, self._level = store, level
        self._place: tuple[int, int] | None = None
        self._chunk: Pixels = np.zeros((0, 0, 3), np.uint8)

    def __getitem__(self, place: tuple[slice, slice], /) -> Pixels:
        """The pixels of a rectangle within one chunk; cut at the image's edge."""
        top, left = place[0].start, place[1].start
        y, x = top // CHUNK * CHUNK, left // CHUNK * CHUNK
        if self._place != (y, x):
            height, width = min(CHUNK, self.shape[0] - y), min(CHUNK, self.shape[1] - x)
            self._chunk = self._store.read(self._level, x, y, width, height)
            self._place = (y, x)
        return self._chunk[top - y : place[0].stop - y, left - x : place[1].stop - x]
