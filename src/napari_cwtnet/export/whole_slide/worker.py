"""What a worker of a cluster does: blocks of a job, of which it keeps slide and model open."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_cwtnet.export.whole_slide.compute import make_block
from napari_cwtnet.export.whole_slide.job import Bench, Job
from napari_cwtnet.export.whole_slide.journal import Done
from napari_cwtnet.export.whole_slide.layout import Block, Layout
from napari_cwtnet.export.whole_slide.sameness import check_same, identity
from napari_cwtnet.export.whole_slide.store import Store

_open: dict[Job, Bench] = {}
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
        bench = _open.get(job)
        if bench is None or identity(bench.provenance) != identity(provenance):
            bench = _reopened(job)  # slide or weights may be other files than at the last run
        check_same(
            provenance,
            bench.provenance,
            "The workers differ",
            "give all of them the same software, model, slide and kind of device",
        )
        return make_block(bench, Store(image, provenance), layout, block)


def _reopened(job: Job) -> Bench:
    while _open:
        _open.popitem()[1].slide.close()
    bench = _open[job] = Bench(job)
    return bench
