"""One block: its tiles computed, blended, written and measured."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Canvas, Plan, TileCounts
from napari_cwtnet.enhancement.devices import release_memory
from napari_cwtnet.enhancement.engine import TileResult
from napari_cwtnet.enhancement.tiling import Tile
from napari_cwtnet.export.whole_slide.blocks import Block, Layout, cut, only, owns, squared_errors
from napari_cwtnet.export.whole_slide.job import Job, JobContext
from napari_cwtnet.export.whole_slide.journal import Done
from napari_cwtnet.export.whole_slide.source import pixels_digest
from napari_cwtnet.export.whole_slide.store import Store, chunks_of
from napari_cwtnet.export.whole_slide.work_folder import check_same, identity

Pixels = NDArray[np.uint8]


def make_block(
    context: JobContext,
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
    release_memory()
    pixels, computed = block_pixels(context, layout, block, cancel=cancel, tile_done=tile_done)
    size = store.write(0, block.x, block.y, pixels)
    errors = squared_errors(context.slide, context.plan, block, pixels)
    return Done(
        place=block.place,
        bytes=size,
        seconds=round(time.perf_counter() - began, 3),
        tiles=computed.tiles,
        tally=computed.tally.as_dict(),
        errors=errors,
        read=pixels_digest(context, cut(context.plan, block)),
        chunks=chunks_of(pixels),
    )


class Computed(NamedTuple):
    """How the pixels of a block came about."""

    tiles: int
    tally: TileCounts
    """Of the tiles that the block owns, whichever block they were computed with."""


def block_pixels(
    context: JobContext,
    layout: Layout,
    block: Block,
    *,
    cancel: CancelToken | None = None,
    tile_done: Callable[[], None] | None = None,
) -> tuple[Pixels, Computed]:
    """SR pixels ``(height, width, 3)`` of a block, and the tiles that were computed for them.

    On one device the same bytes as :func:`napari_cwtnet.enhance` gives there for the whole region.
    """
    part = cut(context.plan, block)
    canvas, tally, missing = Canvas(part), TileCounts(), []

    def add(finished: TileResult) -> None:
        canvas.add(finished.tile, finished.sr)
        if owns(part, finished.tile):
            tally.add(finished)

    for tile in part.tiles:
        kept = context.borders.take(tile.index)
        if kept is None:
            missing.append(tile)
        else:
            add(kept)
    computing = context.engine.run(context.slide, only(part, tuple(missing)), cancel)
    with contextlib.closing(computing):
        for finished in computing:
            add(finished)
            context.borders.keep(finished, tile_uses(context.plan, layout, finished.tile) - 1)
            if tile_done is not None:
                tile_done()
    return canvas.image, Computed(len(missing), tally)


def tile_uses(plan: Plan, layout: Layout, tile: Tile) -> int:
    """How many blocks of the layout need a tile of the plan."""
    column, row = plan.lattice.origin
    return layout.uses(
        (tile.columns.start - column) * plan.scale,
        (tile.rows.start - row) * plan.scale,
        (tile.columns.stop - column) * plan.scale,
        (tile.rows.stop - row) * plan.scale,
    )


_open: dict[Job, JobContext] = {}
_one_at_a_time = threading.Lock()
"""Held while a thread of this process uses what is open."""


def describe(job: Job) -> dict[str, Any]:
    """The provenance of a job here, of the files as they are now."""
    with _one_at_a_time:
        return _reopened(job).provenance


def make(
    job: Job, image: Path, provenance: Mapping[str, Any], layout: Layout, block: Block
) -> Done:
    """A block, computed and written; a pure function of its arguments.

    Raises
    ------
    CwtnetError
        If it cannot be made, would be of another kind than the others, or the run is over.
    OSError
        If it cannot be written.
    """
    with _one_at_a_time:
        context = _open.get(job)
        if context is None or identity(context.provenance) != identity(provenance):
            context = _reopened(job)  # slide or weights may be other files than at the last run
        check_same(
            provenance,
            context.provenance,
            "The workers differ",
            "give all of them the same software, model, slide and kind of device",
        )
        return make_block(context, Store(image, provenance), layout, block)


def _reopened(job: Job) -> JobContext:
    while _open:
        _open.popitem()[1].slide.close()
    context = _open[job] = JobContext(job)
    return context
