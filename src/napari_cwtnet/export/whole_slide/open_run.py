"""A run begun, or one that was killed or cancelled taken up again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_cwtnet.errors import OutputError, RequestError, SlideError
from napari_cwtnet.export.ome_zarr import create_ome_zarr
from napari_cwtnet.export.pyramid import CHUNK
from napari_cwtnet.export.record import (
    Record,
    checked_record,
    image_record,
    joined_digest,
    level_digest,
    sidecar_says,
    write_sidecar,
)
from napari_cwtnet.export.whole_slide.blocks import Block, Layout, cut, lay_out, quality
from napari_cwtnet.export.whole_slide.job import JobContext
from napari_cwtnet.export.whole_slide.journal import Head, Journal
from napari_cwtnet.export.whole_slide.source import files_digest, pixels_digest
from napari_cwtnet.export.whole_slide.store import LevelView, Store
from napari_cwtnet.export.whole_slide.work_folder import WorkFolder, check_same
from napari_cwtnet.geometry import Size


@dataclass(frozen=True)
class Run:
    """A run that is open for work."""

    work: WorkFolder
    journal: Journal
    layout: Layout
    store: Store | None
    """None where the finished image has its final name already."""

    @property
    def record(self) -> dict[str, Any]:
        """What the file and the one beside it say when all blocks and levels are done."""
        done, head = self.journal.blocks, self.journal.head
        read = joined_digest(done[block.place].read for block in self.layout.blocks())
        source = {"files": head.slide, "read": read, "side": head.side, "strip": head.strip}
        return image_record(
            {**head.provenance, **self.journal.tally, "source": source},
            self.layout.size,
            [self._finest_digest(), *(self.journal.levels[n] for n in sorted(self.journal.levels))],
            figures=quality(one.errors for one in done.values()).as_dict(),
        )

    def _finest_digest(self) -> str:
        across = self.layout.side // CHUNK
        width, height = self.layout.size

        def chunk(column: int, row: int) -> str:
            block = self.layout.block((column // across, row // across))
            columns = -(-block.width // CHUNK)
            known = self.journal.blocks[block.place].chunks
            return known[row % across * columns + column % across]

        return joined_digest(
            chunk(column, row)
            for row in range(-(-height // CHUNK))
            for column in range(-(-width // CHUNK))
        )

    @property
    def pending(self) -> Iterator[Block]:
        """Blocks that are still to be made, in order."""
        done = self.journal.blocks
        return (block for block in self.layout.blocks() if block.place not in done)


def begin(
    work: WorkFolder,
    context: JobContext,
    provenance: Mapping[str, Any],
    side: int,
    check_disk: Callable[[int], None],
) -> Run:
    """A new run: its empty image and its journal.

    ``check_disk`` hears how many bytes are there already.

    Raises
    ------
    OutputError
        If the disk is too small.
    """
    check_disk(0)
    work.clear()
    plan = context.plan
    layout = lay_out(plan, side)
    create_ome_zarr(work.image, plan.output_size, provenance, plan.output_mpp)
    store = Store(work.image)
    store.settle()
    head = Head(
        dict(provenance),
        plan.output_size,
        layout.side,
        layout.strip,
        files_digest(context.slide.path),
    )
    return Run(work, Journal.begin(work.journal, head), layout, store)


def take_up(
    work: WorkFolder,
    context: JobContext,
    provenance: Mapping[str, Any],
    check_disk: Callable[[int], None],
) -> Run:
    """The run that was left unfinished in a folder; ``check_disk`` as for :func:`begin`.

    What is not on the disk as the journal says is made again.

    Raises
    ------
    OutputError
        If it was another one than this, the slide has changed since, its journal is damaged, or
        the disk is too small.
    """
    journal = Journal(work.journal)
    check_same(
        journal.head.provenance,
        provenance,
        f"Output {work.output} has an unfinished run of another kind",
        f"resume it with the settings that it began with, or delete {work.path.name} and start "
        "again",
        of_software=f"install that one to go on, or delete {work.path.name} and start again",
    )
    layout = _layout(work, journal, context.plan.output_size)
    _check_slide(work, journal, layout, context)
    work.clear(work.journal, work.image)
    run = Run(work, journal, layout, None)
    if _is_in_place(run):
        return run
    gone = OutputError(
        f"Output {work.output}: the pixels of its unfinished run are gone; delete "
        f"{work.path.name} and start again."
    )
    if not work.image.exists():
        raise gone
    store = Store(work.image)
    fits = store.is_of(journal.head.provenance) and store.sizes[:1] == [layout.size]
    if not fits:
        raise gone
    for place, done in list(journal.blocks.items()):
        block = layout.block(place)
        if not store.holds(block.x, block.y, block.width, block.height, done.chunks):
            journal.block_lost(place)
    for level in sorted(journal.levels):
        if not _holds_level(store, level, journal.levels[level]):
            for coarser in [one for one in journal.levels if one >= level]:
                del journal.levels[coarser]  # they are made anew
            break
    check_disk(sum(done.bytes for done in journal.blocks.values()))
    return Run(work, journal, layout, store)


def _layout(work: WorkFolder, journal: Journal, size: Size) -> Layout:
    """The blocks of a run, if its journal can be of it."""
    head = journal.head
    try:
        layout = Layout(size, head.side, head.strip)
    except RequestError:
        layout = None
    columns, rows = (0, 0) if layout is None else layout.grid
    inside = all(x < columns and y < rows for x, y in journal.blocks)
    if layout is None or not inside or tuple(head.output_size) != tuple(size):
        raise OutputError(
            f"Journal {work.journal} is damaged: its blocks are not those of the image; delete "
            f"the folder {work.path.name} and start again."
        )
    return layout


def _check_slide(work: WorkFolder, journal: Journal, layout: Layout, context: JobContext) -> None:
    """Refuse a slide whose files changed, unless all that was read of it is still the same."""
    if files_digest(context.slide.path) == journal.head.slide:
        return
    for place, done in journal.blocks.items():
        if pixels_digest(context, cut(context.plan, layout.block(place))) != done.read:
            raise OutputError(
                f"Output {work.output}: the slide has changed since its unfinished run began; "
                f"delete {work.path.name} and start again."
            )


def _is_in_place(run: Run) -> bool:
    """Whether a run that was killed at its very end has given the image its name."""
    done = all(block.place in run.journal.blocks for block in run.layout.blocks())
    if not done or not run.work.output.exists():
        return False
    try:
        there = checked_record(run.work.output).model_dump(mode="json")
    except SlideError:
        return False
    record = run.record
    return all(there.get(key) == value for key, value in record.items())


def _holds_level(store: Store, level: int, digest: str) -> bool:
    if level >= len(store.sizes):
        return False
    try:
        return level_digest(LevelView(store, level)) == digest
    except OutputError:
        return False


def finished_before(
    output: Path, context: JobContext, provenance: Mapping[str, Any]
) -> Record | None:
    """The record of an output that is there already and would be made again just so, else None.

    Raises
    ------
    OutputError
        If it is there and damaged, or would be made otherwise: of another slide, for one.
    """
    if not output.exists():
        return None
    remedy = "choose another name, or delete it and start again"
    try:
        record = checked_record(output)
    except SlideError as error:
        raise OutputError(f"Output {output} is there and not whole: {error} {_AGAIN}") from error
    there = record.model_dump(mode="json", exclude_unset=True)
    check_same(
        {key: there.get(key) for key in provenance},
        provenance,
        f"Output {output} is there, of another kind",
        remedy,
    )
    if not _is_of_slide(record, context):
        raise OutputError(
            f"Output {output} is there, and the slide has changed since, or it cannot be compared; "
            f"{remedy}."
        )
    if not sidecar_says(output, there):
        write_sidecar(output, there)
    return record


def _is_of_slide(record: Record, context: JobContext) -> bool:
    known = record.source
    if known is None:
        return False
    if known.files == files_digest(context.slide.path):
        return True
    try:
        blocks = Layout(context.plan.output_size, known.side, known.strip).blocks()
    except RequestError:
        return False
    read = joined_digest(pixels_digest(context, cut(context.plan, block)) for block in blocks)
    return read == known.read


_AGAIN = "Delete it to make it again, or choose another name."
