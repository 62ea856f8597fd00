"""One block: its tiles computed, blended, written and measured."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Canvas, Plan, Tally
from napari_cwtnet.enhancement.engine import TileResult
from napari_cwtnet.enhancement.release import give_back_memory
from napari_cwtnet.enhancement.tiling import Tile
from napari_cwtnet.export.whole_slide.difference import squared_errors
from napari_cwtnet.export.whole_slide.job import Bench
from napari_cwtnet.export.whole_slide.journal import Done
from napari_cwtnet.export.whole_slide.layout import Block, Layout
from napari_cwtnet.export.whole_slide.part import cut, only, owns
from napari_cwtnet.export.whole_slide.store import Store

Pixels = NDArray[np.uint8]


def make_block(
    bench: Bench,
    store: Store,
    layout: Layout,
    block: Block,
    *,
    cancel: CancelToken | None = None,
    tile_done: Callable[[], None] | None = None,
) -> Done:
    """Compute a block and write it; it is on the disk when this returns.

    Raises
    ------
    CancelledError
        Between two tiles, after ``cancel`` was called; nothing is written then.
    CwtnetError
        If the slide cannot be read or the network fails.
    OSError
        If it cannot be written.
    """
    began = time.perf_counter()
    # What threads of an earlier block let go of would lie idle, more of it from block to block.
    give_back_memory()
    pixels, computed = block_pixels(bench, layout, block, cancel=cancel, tile_done=tile_done)
    size = store.write(0, block.x, block.y, pixels)
    errors = squared_errors(bench.slide, bench.plan, block, pixels)
    seconds = round(time.perf_counter() - began, 3)
    return Done(block.place, size, seconds, computed.tiles, computed.tally.as_dict(), errors)


class Computed(NamedTuple):
    """How the pixels of a block came about."""

    tiles: int
    tally: Tally
    """Of the tiles that the block owns, whichever block they were computed with."""


def block_pixels(
    bench: Bench,
    layout: Layout,
    block: Block,
    *,
    cancel: CancelToken | None = None,
    tile_done: Callable[[], None] | None = None,
) -> tuple[Pixels, Computed]:
    """SR pixels ``(height, width, 3)`` of a block, and the tiles that were computed for them.

    On one device the same bytes as :func:`napari_cwtnet.enhance` gives there for the whole region.
    """
    part = cut(bench.plan, block)
    canvas, tally, missing = Canvas(part), Tally(), []

    def add(finished: TileResult) -> None:
        canvas.add(finished.tile, finished.sr)
        if owns(part, finished.tile):
            tally.add(finished)

    for tile in part.tiles:
        kept = bench.borders.take(tile.index)
        if kept is None:
            missing.append(tile)
        else:
            add(kept)
    computing = bench.engine.run(bench.slide, only(part, tuple(missing)), cancel)
    with contextlib.closing(computing):
        for finished in computing:
            add(finished)
            bench.borders.keep(finished, _uses(bench.plan, layout, finished.tile) - 1)
            if tile_done is not None:
                tile_done()
    return canvas.image, Computed(len(missing), tally)


def _uses(plan: Plan, layout: Layout, tile: Tile) -> int:
    column, row = plan.lattice.origin
    return layout.uses(
        (tile.columns.start - column) * plan.scale,
        (tile.rows.start - row) * plan.scale,
        (tile.columns.stop - column) * plan.scale,
        (tile.rows.stop - row) * plan.scale,
    )
