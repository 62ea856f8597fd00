"""A whole slide into a file: block by block, with a journal, to be taken up again."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Plan, Quality, TileCounts
from napari_cwtnet.errors import CancelledError, OutputError
from napari_cwtnet.export.dicom import check_dicom
from napari_cwtnet.export.formats import write_levels
from napari_cwtnet.export.pyramid import CHUNK, Count, halve
from napari_cwtnet.export.record import Record, level_digest, write_sidecar
from napari_cwtnet.export.save import check_output
from napari_cwtnet.export.whole_slide.blocks import (
    BLOCK,
    CLUSTER_BLOCK,
    Block,
    Layout,
    Place,
    cut,
    lay_out,
    owned,
    quality,
)
from napari_cwtnet.export.whole_slide.cluster import Cluster
from napari_cwtnet.export.whole_slide.compute import make_block
from napari_cwtnet.export.whole_slide.job import Job, JobContext
from napari_cwtnet.export.whole_slide.journal import Done
from napari_cwtnet.export.whole_slide.open_run import Run, begin, finished_before, take_up
from napari_cwtnet.export.whole_slide.store import LevelView, Store
from napari_cwtnet.export.whole_slide.work_folder import WorkFolder, check_space
from napari_cwtnet.files import cannot_write

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
    run: Run,
    job: Job,
    context: JobContext,
    *,
    cluster: Cluster | None,
    cancel: CancelToken,
    told: Told,
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
    count = TileCount(context.plan, blocks, told)
    made = (
        _made_here(run, context, blocks, cancel, count)
        if cluster is None
        else cluster.blocks(job, run, cancel)
    )
    for done in made:
        run.journal.block_done(done)
        count.block(done.place)


def _made_here(
    run: Run, context: JobContext, blocks: list[Block], cancel: CancelToken, count: TileCount
) -> Iterator[Done]:
    assert run.store is not None
    for block in blocks:
        yield make_block(
            context,
            run.store,
            run.layout,
            block,
            cancel=cancel,
            tile_done=partial(count.tile, block.place),
        )


Pixels = NDArray[np.uint8]


def write_rest(
    run: Run, cancel: CancelToken, told: Callable[[str, int, int], None], *, convert: bool
) -> None:
    """Make the pyramid and, if wanted, an OME-TIFF or DICOM; then give it its final name.

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
            run.journal.level_done(level, level_digest(LevelView(run.store, level)))
        told("level", level, levels - 1)
    record = run.record
    if not convert:
        run.store.complete(record)
        run.work.put_in_place(run.work.image)
        return

    def part_written(done: int, total: int) -> None:
        cancel.raise_if_cancelled()
        told("part", done, total)

    views = [LevelView(run.store, level) for level in range(levels)]
    write_levels(run.work.converted, views, record, record["output_mpp"], Count(part_written))
    run.work.put_in_place(run.work.converted)


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


@dataclass(frozen=True, slots=True)
class WholeResult:
    """The image is in its file; this is what is known about it."""

    plan: Plan
    quality: Quality
    """Without SSIM."""
    blocks: int
    resumed_blocks: int
    """Of them, done by an earlier run."""
    tiles: int
    """Of the whole image."""
    tally: Mapping[str, int]
    """Of them, those that were not simply computed: background, for one."""
    computed_tiles: int
    """By all runs, some of them twice."""
    seconds: float
    """Of this run."""


def result_of(plan: Plan, run: Run, resumed: int, seconds: float) -> WholeResult:
    """What a run gave that is complete."""
    done = run.journal.blocks.values()
    return WholeResult(
        plan=plan,
        quality=quality(one.errors for one in done),
        blocks=len(done),
        resumed_blocks=resumed,
        tiles=_tiles(plan, run.layout),
        computed_tiles=sum(one.tiles for one in done),
        tally=run.journal.tally,
        seconds=seconds,
    )


def finished_already(plan: Plan, side: int, record: Record) -> WholeResult:
    """For an output that is there and whole: nothing was to be done."""
    layout = lay_out(plan, side)
    columns, rows = layout.grid
    tally = TileCounts(record.background_tiles, record.float32_tiles, record.tiles_in_parts)
    return WholeResult(
        plan=plan,
        quality=record.figures,
        blocks=columns * rows,
        resumed_blocks=columns * rows,
        tiles=_tiles(plan, layout),
        computed_tiles=0,
        tally=tally.as_dict(),
        seconds=0.0,
    )


def _tiles(plan: Plan, layout: Layout) -> int:
    return sum(owned(cut(plan, block)) for block in layout.blocks())


def enhance_to_file(
    job: Job,
    output: Path,
    *,
    resume: bool = False,
    scheduler: str | None = None,
    block: int | None = None,
    space_check: bool = True,
    cancel: CancelToken | None = None,
    told: Told = lambda *_: None,
) -> WholeResult:
    """Enhance a slide of any size into a file or folder, within bounded memory.

    Parameters
    ----------
    job : Job
        What.
    output : Path
        Ends in ``.ome.zarr``, ``.ome.tif`` or ``.dicom``. Appears when all of it is there; until
        then the work is in ``.OUT.partial`` beside it.
    resume : bool
        Go on with a run that was killed or cancelled; begin where there is none. An output that is
        there, whole, and would be made again just so is left as it is; one that is damaged or of
        another kind is refused, and so is a slide that has changed.
    scheduler : str, optional
        Address of a Dask scheduler whose workers do it.
    block : int, optional
        Side of the blocks that are computed at a time, SR pixels, a multiple of 1024.
    space_check : bool
        Refuse at once what the disk will likely not hold.
    cancel : CancelToken, optional
        Stops the work within one tile; blocks that are done are kept.
    told : callable, optional
        Hears how far the work is.

    Raises
    ------
    CwtnetError
        If the request cannot be served or the output not be written.
    CancelledError
        After ``cancel``; it says how much is done.
    """
    began = time.perf_counter()
    _check(output, job.slide)
    convert = not output.name.lower().endswith(".zarr")
    side = block or (BLOCK if scheduler is None else CLUSTER_BLOCK)
    work, cancel = WorkFolder(output), cancel or CancelToken()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_said_in_words(work))
        if work.unfinished and not resume:
            work.acquire()  # says so where it is not unfinished but at work
            work.release()
            raise OutputError(
                f"Output {output} has an unfinished run in {work.path.name}; add "
                "--resume to continue it, or delete that folder."
            )
        cluster = None if scheduler is None else stack.enter_context(Cluster(scheduler))
        # Workers may have devices that this machine has not.
        own = job if cluster is None else dataclasses.replace(job, device="cpu")
        context = stack.enter_context(JobContext(own))
        if output.name.lower().endswith(".dicom"):
            check_dicom(context.plan.output_mpp)
        size = context.plan.output_size
        check_disk = (
            partial(check_space, work.path, size, tiff=convert) if space_check else _no_check
        )
        provenance = context.provenance if cluster is None else cluster.describe(job)
        if resume and not work.unfinished:
            before = finished_before(output, context, provenance)
            if before is not None:
                if work.path.exists():  # of a run that was killed while it tidied up
                    work.acquire()
                    work.release()
                return finished_already(context.plan, side, before)
        work.acquire()
        stack.callback(work.release)
        if work.unfinished:
            run = take_up(work, context, provenance, check_disk)
        else:
            run = begin(work, context, provenance, side, check_disk)
        resumed = len(run.journal.blocks)
        try:
            make_blocks(run, job, context, cluster=cluster, cancel=cancel, told=told)
            write_rest(run, cancel, told, convert=convert)
        except CancelledError as error:
            done, columns, rows = len(run.journal.blocks), *run.layout.grid
            raise CancelledError(
                f"{error}; {done} of {columns * rows} blocks are done; resume the run to continue"
            ) from error
        result = result_of(context.plan, run, resumed, time.perf_counter() - began)
        write_sidecar(output, run.record)
        work.remove()
    return result


def _no_check(_written: int) -> None:
    """For a user who knows the disk better than it tells."""


def _check(output: Path, slide: Path) -> None:
    check_output(output, slide)
    if output.name.lower().endswith(".png"):
        raise OutputError(
            f"Output {output.name}: a PNG cannot be written piece by piece; choose .ome.zarr, "
            ".ome.tif or .dicom."
        )


@contextlib.contextmanager
def _said_in_words(work: WorkFolder) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kept = " What is done is kept; resume the run to continue." if work.unfinished else ""
        raise OutputError(f"{cannot_write(work.output, error)}{kept}") from error
