"""The blocks of a run, one after another, here or on a cluster; and how far they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Plan
from napari_cwtnet.export.whole_slide.cluster import Cluster
from napari_cwtnet.export.whole_slide.compute import make_block
from napari_cwtnet.export.whole_slide.job import Bench, Job
from napari_cwtnet.export.whole_slide.journal import Done
from napari_cwtnet.export.whole_slide.layout import Block, Place
from napari_cwtnet.export.whole_slide.opening import Run
from napari_cwtnet.export.whole_slide.part import cut, owned

Told = Callable[[str, int, int], None]
"""Called with what is made (``tile``, ``level`` or ``part``), how many are, and of how many."""


class TileCount:
    """Tiles that are done, each of which belongs to one block.

    Parameters
    ----------
    plan : Plan
        Of the whole.
    blocks : list of Block
        That are to be made.
    told : callable
        Hears of every tile.
    """

    def __init__(self, plan: Plan, blocks: list[Block], told: Told) -> None:
        self._of = {block.place: owned(cut(plan, block)) for block in blocks}
        self._total = sum(self._of.values())
        self._before = self._now = 0
        self._told = told
        told("tile", 0, self._total)

    def tile(self, place: Place) -> None:
        """A tile of a block is computed; some belong to a neighbour and do not count twice."""
        if self._now < self._before + self._of[place]:
            self._now += 1
            self._told("tile", self._now, self._total)

    def block(self, place: Place) -> None:
        """A block is done."""
        self._before += self._of[place]
        self._now = self._before
        self._told("tile", self._now, self._total)


def make_blocks(
    run: Run, job: Job, bench: Bench, *, cluster: Cluster | None, cancel: CancelToken, told: Told
) -> None:
    """Make what is pending in a run; each block is in the journal once it is on the disk.

    Raises
    ------
    CancelledError
        After ``cancel`` was called; the blocks that are done stay so.
    CwtnetError, OSError
        If a block cannot be made or written.
    """
    blocks = list(run.pending)
    if not blocks:
        return
    count = TileCount(bench.plan, blocks, told)
    made = (
        _made_here(run, bench, blocks, cancel, count)
        if cluster is None
        else cluster.blocks(job, run, cancel)
    )
    for done in made:
        run.journal.block_done(done)
        count.block(done.place)


def _made_here(
    run: Run, bench: Bench, blocks: list[Block], cancel: CancelToken, count: TileCount
) -> Iterator[Done]:
    assert run.store is not None
    for block in blocks:
        yield make_block(
            bench,
            run.store,
            run.layout,
            block,
            cancel=cancel,
            tile_done=partial(count.tile, block.place),
        )
