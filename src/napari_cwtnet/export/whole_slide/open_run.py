"""A run begun, or one that was killed or cancelled taken up again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_cwtnet.enhancement import Plan
from napari_cwtnet.errors import OutputError
from napari_cwtnet.export.ome_zarr import create_ome_zarr
from napari_cwtnet.export.save import is_sidecar, sidecar_path
from napari_cwtnet.export.whole_slide.blocks import Block, Layout, lay_out
from napari_cwtnet.export.whole_slide.journal import Head, Journal
from napari_cwtnet.export.whole_slide.store import Store
from napari_cwtnet.export.whole_slide.work_folder import WorkFolder, check_same


@dataclass(frozen=True)
class Run:
    """A run that is open for work."""

    work: WorkFolder
    journal: Journal
    layout: Layout
    store: Store | None
    """None where the finished image has its final name already."""

    @property
    def provenance(self) -> dict[str, Any]:
        """What the file and its record say when all blocks are done."""
        return {**self.journal.head.provenance, **self.journal.tally}

    @property
    def pending(self) -> Iterator[Block]:
        """Blocks that are still to be made, in order."""
        done = self.journal.blocks
        return (block for block in self.layout.blocks() if block.place not in done)


def begin(
    work: WorkFolder,
    plan: Plan,
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
    layout = lay_out(plan, side)
    create_ome_zarr(work.image, plan.output_size, provenance, plan.output_mpp)
    store = Store(work.image)
    store.settle()
    width, height = plan.output_size
    head = Head(dict(provenance), (width, height), layout.side, layout.strip)
    return Run(work, Journal.begin(work.journal, head), layout, store)


def take_up(
    work: WorkFolder,
    plan: Plan,
    provenance: Mapping[str, Any],
    check_disk: Callable[[int], None],
) -> Run:
    """The run that was left unfinished in a folder; ``check_disk`` as for :func:`begin`.

    Raises
    ------
    OutputError
        If it was another one than this, its journal is damaged, or the disk is too small.
    """
    journal = Journal(work.journal)
    check_same(
        journal.head.provenance,
        provenance,
        f"Output {work.output} has an unfinished run of another kind",
        f"repeat that command with --resume, or delete {work.path.name} and begin anew",
        of_software=f"install that one to go on, or delete {work.path.name} and begin anew",
    )
    layout = Layout(plan.output_size, journal.head.side, journal.head.strip)
    work.clear(work.journal.name, work.image.name, "before")
    if not work.image.exists():
        if work.output.exists() and all(b.place in journal.blocks for b in layout.blocks()):
            return Run(work, journal, layout, None)
        raise OutputError(
            f"Output {work.output}: the pixels of its unfinished run are gone; delete "
            f"{work.path.name} and begin anew."
        )
    store = Store(work.image)
    for place, done in list(journal.blocks.items()):
        block = layout.block(place)
        if store.bytes_of(block.x, block.y, block.width, block.height) != done.bytes:
            journal.block_lost(place)
    check_disk(sum(done.bytes for done in journal.blocks.values()))
    return Run(work, journal, layout, store)


def finished_before(output: Path, provenance: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The record of an output that is there already and would be made again just so, else None.

    Raises
    ------
    OutputError
        If it is there, and would be made otherwise: of another slide, for one.
    """
    record_path = sidecar_path(output)
    if not output.exists() or not is_sidecar(record_path):
        return None
    record: dict[str, Any] = json.loads(record_path.read_text(encoding="utf-8"))
    check_same(
        {key: record.get(key) for key in provenance},
        provenance,
        f"Output {output} is there, of another kind",
        "choose another name, or leave out --resume to replace it",
    )
    return record
