"""What an enhancement into a file ends with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_cwtnet.enhancement import Plan, Quality, Tally
from napari_cwtnet.export.whole_slide.difference import quality
from napari_cwtnet.export.whole_slide.layout import Layout, lay_out
from napari_cwtnet.export.whole_slide.opening import Run
from napari_cwtnet.export.whole_slide.part import cut, owned

_TALLIED = tuple(Tally(1, 1, 1).as_dict())


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


def finished_already(plan: Plan, side: int, record: Mapping[str, Any]) -> WholeResult:
    """For an output that is there, with its record: nothing was to be done."""
    layout = lay_out(plan, side)
    columns, rows = layout.grid
    return WholeResult(
        plan=plan,
        quality=Quality(**record["quality"] or {}),
        blocks=columns * rows,
        resumed_blocks=columns * rows,
        tiles=_tiles(plan, layout),
        computed_tiles=0,
        tally={name: record[name] for name in _TALLIED if name in record},
        seconds=0.0,
    )


def _tiles(plan: Plan, layout: Layout) -> int:
    return sum(owned(cut(plan, block)) for block in layout.blocks())
