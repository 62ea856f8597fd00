"""What comes after the last block: coarser levels, the file format, the final name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.export.ome_tiff import write_levels
from napari_cwtnet.export.ome_zarr import CHUNK
from napari_cwtnet.export.progress import Count
from napari_cwtnet.export.pyramid import halve
from napari_cwtnet.export.whole_slide.opening import Run
from napari_cwtnet.export.whole_slide.store import Store
from napari_cwtnet.files import written_whole

Pixels = NDArray[np.uint8]


def write_rest(
    run: Run, cancel: CancelToken, told: Callable[[str, int, int], None], *, tiff: bool
) -> None:
    """Make the pyramid and, if one is wanted, the OME-TIFF; then give it its final name.

    Raises
    ------
    CancelledError
        After ``cancel`` was called; what is done is kept.
    OSError
        If it cannot be written.
    """
    if run.store is None:
        return
    levels = len(run.store.sizes)
    for level in range(1, levels):
        if level not in run.journal.levels:
            _reduce_level(run.store, level, cancel)
            run.journal.level_done(level)
        told("level", level, levels - 1)
    if not tiff:
        run.store.complete(run.provenance)
        run.work.put_in_place(run.work.image)
        return

    def part_written(done: int, total: int) -> None:
        cancel.raise_if_cancelled()
        told("part", done, total)

    provenance = run.provenance
    views = [_LevelView(run.store, level) for level in range(levels)]
    with written_whole(run.work.tiff) as partial:
        write_levels(partial, views, provenance, provenance["output_mpp"], Count(part_written))
    run.work.put_in_place(run.work.tiff)


def _reduce_level(store: Store, level: int, cancel: CancelToken) -> None:
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


class _LevelView:
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
