"""A row's figures on the test fields, and the lines of a table that they make."""

from __future__ import annotations

import importlib
import json
import math
import re
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import RequestError
from napari_cwtnet.evaluation.reproduce.experiment import GIVEN_THE_REFERENCE, Row, Table
from napari_cwtnet.evaluation.reproduce.runs import RunRecord
from napari_cwtnet.files import written_whole
from napari_cwtnet.metrics import psnr, ssim
from napari_cwtnet.model.base import Network
from napari_cwtnet.training.fields import Field
from napari_cwtnet.training.validation import enhanced, enlarged

NETWORKS = ("alex", "vgg")


class Perceptual:
    """One network of ST-LPIPS (Ghildyal and Liu 2022). Its figures are not those of LPIPS.

    Parameters
    ----------
    network : {"alex", "vgg"}
        Backbone.

    Raises
    ------
    ImportError, RuntimeError
        If the package, or the torchvision that it imports, is missing or does not suit torch.
    """

    def __init__(self, network: str) -> None:
        self.name = f"ST-LPIPS {network}"
        library = importlib.import_module("stlpips_pytorch.stlpips")
        with torch.random.fork_rng(devices=()):
            self._distance = library.LPIPS(net=network, variant="shift_tolerant", verbose=False)

    @torch.no_grad()
    def __call__(self, image: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
        """Distance of two ``(H, W, 3)`` uint8 images; 0 where they are equal."""
        pair = [
            torch.from_numpy(np.array(i)).permute(2, 0, 1)[None].float() / 127.5 - 1
            for i in (image, truth)
        ]
        return float(self._distance(*pair))


def available() -> list[Perceptual]:
    """Both networks, or none if the extra ``evidence`` is missing or fails to load."""
    try:
        return [Perceptual(network) for network in NETWORKS]
    except (ImportError, RuntimeError, OSError, AttributeError):  # torchvision not matching torch
        return []


@dataclass(frozen=True, slots=True)
class FieldFigures:
    """Figures of every test field, in order."""

    fields: list[str]
    psnr: list[float]
    ssim: list[float]
    cpu_seconds_per_megapixel: float
    """CPU seconds per megapixel of SR, in one process."""
    lpips: dict[str, list[float]] = field(default_factory=dict)
    """ST-LPIPS by backbone, if requested."""


def image_of(row: Row, network: Network | None, truth: Field, scale: int) -> NDArray[np.uint8]:
    """The result of a row for one field, ``(H, W, 3)`` uint8.

    Parameters
    ----------
    row : Row
        Its test defines the network's input.
    network : Network, optional
        None for a row without training. For a test on the reference: of half the scale.
    truth : Field
        LR, reference and truth.
    scale : int
        Scale from LR to truth.

    Raises
    ------
    RequestError
        If the reference would be the truth, and the row is no oracle.
    """
    if row.test in ("bicubic", "bicubic of the reference"):
        return enlarged(truth, scale, of_reference=row.test != "bicubic")
    if network is None:
        raise AssertionError(f"row {row.name!r} has no network")
    if row.test == "half the scale, on the reference":
        finer = replace(truth, lr=truth.reference, reference=truth.truth)
        return enhanced(network, finer, with_reference=False)
    if row.test == "cross-scale" and scale == 2:
        raise RequestError(
            f"Row {row.name!r}: the reference at ×2 is the answer itself; only an oracle has it."
        )
    return enhanced(network, truth, with_reference=row.test != "single-image")


def measured(
    row: Row,
    network: Network | None,
    fields: Sequence[Field],
    scale: int,
    *,
    perceptual: Iterable[Perceptual] = (),
    cancel: CancelToken | None = None,
) -> FieldFigures:
    """Figures of a row on 8-bit RGB, cropped by the scale, as everywhere in this package.

    Raises
    ------
    CancelledError
        Between two fields, after ``cancel`` was called.
    """
    cancel = cancel or CancelToken()
    metrics = list(perceptual)
    names, ratios, likeness = [], [], []
    lpips: dict[str, list[float]] = {metric.name: [] for metric in metrics}
    seconds = pixels = 0.0
    for one in fields:
        cancel.raise_if_cancelled()
        before = time.process_time()
        image = image_of(row, network, one, scale)
        seconds += time.process_time() - before
        pixels += image.shape[0] * image.shape[1]
        names.append(one.name)
        ratios.append(psnr(image, one.truth, scale))
        likeness.append(ssim(image, one.truth, scale))
        for metric in metrics:
            lpips[metric.name].append(metric(image, one.truth))
    return FieldFigures(names, ratios, likeness, seconds / pixels * 1e6, lpips)


def keep(tested: FieldFigures, path: Path) -> None:
    """Write figures to a JSON file atomically."""
    with written_whole(path) as partial:
        partial.write_text(json.dumps(asdict(tested)), encoding="utf-8")


def kept(path: Path) -> FieldFigures | None:
    """Figures written before; None if there are none, or they cannot be read."""
    try:
        return TypeAdapter(FieldFigures).validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


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
        The image of each value; fields of one image are not independent.
    share : float
        Confidence level.
    seed : int
        Seed of the resampling.

    Returns
    -------
    tuple of float, or None
        Low and high; None for fewer than three images, which say too little about others.
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
    """One line of a table."""

    row: Row
    scale: int
    seeds: tuple[int, ...]
    psnr: Spread
    ssim: Spread
    lead: float | None
    """PSNR above the row that all are compared with, dB."""
    lead_interval: tuple[float, float] | None
    """95 % interval over test images; None for too few."""
    ahead: int | None
    """Number of test images on which it is better."""
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
        All finished cells.
    table : Table
        Defines the row that others are compared with.
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
    """The image or slide of a test field, whatever its downsample.

    >>> image_name("a 1.png 0,0"), image_name("a.svs at 1: 20,30,188,188 0,0")
    ('a 1.png', 'a.svs')
    """
    return _PLACE_ON_A_SLIDE.sub("", field_name.rsplit(" ", 1)[0])


def _lead(
    cells: list[Cell], against: list[Cell]
) -> tuple[float | None, tuple[float, float] | None, int | None]:
    """Lead, interval and images ahead, over the common fields and means over seeds."""
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
