"""The rows of a table over all seeds that are done."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from napari_cwtnet.evaluation.reproduce.experiment import GIVEN_THE_REFERENCE, Row, Table
from napari_cwtnet.evaluation.reproduce.runs import RunRecord
from napari_cwtnet.evaluation.reproduce.testing import FieldFigures

_ROUNDS = 2000
_FEWEST = 3


def interval(
    values: Sequence[float], groups: Sequence[object], *, share: float = 0.95, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile interval of the mean of ``values``, by a cluster bootstrap over ``groups``.

    Parameters
    ----------
    values : sequence of float
        One for each field or patch.
    groups : sequence
        The image that each is of; fields of one image are no independent evidence.
    share : float
        Of the resampled means that lie within.
    seed : int
        Of the drawing.

    Returns
    -------
    tuple of float, or None
        Low and high; None for fewer than three images, which say too little of others.
    """
    if len(set(groups)) < _FEWEST:
        return None
    names = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    index = np.asarray([names[group] for group in groups])
    sums = np.bincount(index, weights=np.asarray(values, np.float64))
    counts = np.bincount(index)
    drawn = np.random.default_rng(seed).integers(len(names), size=(_ROUNDS, len(names)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


_PLACE_ON_A_SLIDE = re.compile(r" at [0-9.]+: [0-9,]+$")


@dataclass(frozen=True, slots=True)
class Cell:
    """One row, scale and seed, trained and tested."""

    row: Row
    scale: int
    seed: int
    tested: FieldFigures
    run: RunRecord | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation over seeds; nan for a single one."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class RowSummary:
    """What stands in one line of a table."""

    row: Row
    scale: int
    seeds: tuple[int, ...]
    psnr: Spread
    ssim: Spread
    lead: float | None
    """PSNR above the row that all are held against, dB."""
    lead_interval: tuple[float, float] | None
    """95 %, over test images; None where there is one."""
    ahead: int | None
    """Test images on which it is the better one."""
    images: int
    parameters: int
    steps: int
    cpu_seconds: float
    cpu_seconds_per_megapixel: float
    hashes: tuple[str, ...]
    lpips: dict[str, float] = field(default_factory=dict)


def summarise(cells: Sequence[Cell], table: Table) -> list[RowSummary]:
    """Lines by scale and row, in the order of the cells.

    Parameters
    ----------
    cells : sequence of Cell
        All that is done.
    table : Table
        Says which row every other of its scale is held against.
    """
    grouped: dict[tuple[int, str], list[Cell]] = {}
    for cell in cells:
        grouped.setdefault((cell.scale, cell.row.name), []).append(cell)
    return [
        _line(own, grouped.get((scale, _against(own[0].row, table)), []))
        for (scale, _), own in grouped.items()
    ]


def _against(row: Row, table: Table) -> str:
    return table.compared_paired if row.test in GIVEN_THE_REFERENCE else table.compared


def _line(cells: list[Cell], against: list[Cell]) -> RowSummary:
    first = cells[0]
    runs = [cell.run for cell in cells if cell.run is not None]
    lead, within, ahead = _lead(cells, against)
    return RowSummary(
        row=first.row,
        scale=first.scale,
        seeds=tuple(cell.seed for cell in cells),
        psnr=_spread([float(np.mean(cell.tested.psnr)) for cell in cells]),
        ssim=_spread([float(np.mean(cell.tested.ssim)) for cell in cells]),
        lead=lead,
        lead_interval=within,
        ahead=ahead,
        images=len({image_name(name) for name in first.tested.fields}),
        parameters=runs[0].parameters if runs else 0,
        steps=round(statistics.mean(run.steps for run in runs)) if runs else 0,
        cpu_seconds=statistics.mean(run.cpu_seconds for run in runs) if runs else 0.0,
        cpu_seconds_per_megapixel=statistics.mean(
            cell.tested.cpu_seconds_per_megapixel for cell in cells
        ),
        hashes=tuple(run.hash for run in runs),
        lpips={
            name: statistics.mean(float(np.mean(cell.tested.lpips[name])) for cell in cells)
            for name in first.tested.lpips
        },
    )


def _spread(values: list[float]) -> Spread:
    deviation = statistics.stdev(values) if len(values) > 1 else math.nan
    return Spread(statistics.mean(values), deviation)


def image_name(field_name: str) -> str:
    """The image or slide that a test field is of; a source that is halved shows the same one.

    >>> image_name("a 1.png 0,0"), image_name("a.svs at 1: 20,30,188,188 0,0")
    ('a 1.png', 'a.svs')
    """
    return _PLACE_ON_A_SLIDE.sub("", field_name.rsplit(" ", 1)[0])


def _lead(
    cells: list[Cell], against: list[Cell]
) -> tuple[float | None, tuple[float, float] | None, int | None]:
    """Over the fields that both were tested on, means over seeds."""
    if not against or cells[0].row.name == against[0].row.name:
        return None, None, None
    own = np.mean([cell.tested.psnr for cell in cells], axis=0)
    other = np.mean([cell.tested.psnr for cell in against], axis=0)
    images = [image_name(name) for name in cells[0].tested.fields]
    leads = own - other
    by_image = [
        float(np.mean([lead for lead, name in zip(leads, images, strict=True) if name == image]))
        for image in dict.fromkeys(images)
    ]
    within = interval([float(lead) for lead in leads], images)
    return float(leads.mean()), within, sum(lead > 0 for lead in by_image)
