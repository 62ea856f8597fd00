"""Fields of a slide: LR, reference and truth of the same place, where there is sharp tissue."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement.plan import KERNELS
from napari_cwtnet.errors import TrainingError
from napari_cwtnet.geometry import Region
from napari_cwtnet.model.conditioning import without_jpeg2000
from napari_cwtnet.slides import Slide
from napari_cwtnet.slides.check_levels import MOST_LIKELY, check_levels
from napari_cwtnet.slides.degradation import Kernel
from napari_cwtnet.training.fields import Field
from napari_cwtnet.training.recipe import SlideSource
from napari_cwtnet.training.split import Split, grown

LEAST_TISSUE = 0.25
"""Share of tissue below which a field counts as blank."""

_LEAST_COLOUR = 18
_BRIGHTEST_GREY = 180
_DARKEST_GREY = 20


def tissue_mask(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where ``(h, w, 3)`` shows tissue: coloured, or grey but neither bright nor black."""
    low, high = image.min(2), image.max(2)
    mean = image.mean(2, dtype=np.float32)
    grey = (mean >= _DARKEST_GREY) & (mean <= _BRIGHTEST_GREY)
    mask: NDArray[np.bool_] = (high - low >= _LEAST_COLOUR) | grey
    return mask


def sharpness(image: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of the brightness (0..255) of ``(h, w, 3)``; sides of 3 or more.

    High for edges and texture, low where the field is out of focus.
    """
    grey = image.mean(2, dtype=np.float32)
    laplacian = (
        grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    )
    return float(laplacian.var())


TRAINING_SIDE = 512
"""Side of the largest training field, LR pixels."""

VALIDATION_SIDE = 96
"""Side of the largest validation field, LR pixels."""

_LEAST_VALIDATION_SIDE = 32
_LARGEST_READ = 8192
_MARGIN = 4
_BLURRED = 0.1
_THUMBNAIL = 2048


@dataclass(frozen=True, slots=True)
class PlacedField:
    """A field and its level-0 region."""

    field: Field
    region: Region


@dataclass(frozen=True, slots=True)
class SlideCut:
    """The fields of a slide, and how many were left out as blank or blurred."""

    training: tuple[PlacedField, ...]
    held_out: tuple[PlacedField, ...]
    blank: int
    blurred: int

    @property
    def words(self) -> str:
        """How much is trained on, held out and left out.

        Also in LR pixels, since training fields are larger than validation fields.
        """
        train, kept = (
            sum(math.prod(placed.field.lr.shape[:2]) for placed in fields)
            for fields in (self.training, self.held_out)
        )
        noun = "field" if len(self.training) == 1 else "fields"
        words = f"{len(self.training)} {noun} to train on"
        words += f" ({train:,} LR pixels)" if train else ""
        words += f", {len(self.held_out)} held out"
        words += f" ({kept:,}, {kept / (train + kept):.0%} of both)" if train and kept else ""
        words += f", {self.blank} blank and {self.blurred} blurred ones left out"
        if 0 < train < kept:
            words += (
                ", more held out than trained on: hold out a smaller share, or a place with less "
                "tissue"
            )
        return words


def cut_fields(
    slide: Slide,
    source: SlideSource,
    split: Split,
    *,
    scale: int,
    patch: int,
    seed: int,
    cancel: CancelToken | None = None,
) -> SlideCut:
    """Cut a slide into fields; the same seed, the same fields.

    Keeps at most ``source.memory`` of training pixels; the slide can be closed afterwards.

    Parameters
    ----------
    slide : Slide
        Open.
    source : SlideSource
        Downsamples, levels and limits.
    split : Split
        Where to train and where to validate.
    scale : int
        Super-resolution factor.
    patch : int
        Side of the smallest field worth training on, LR pixels.
    seed : int
        Chooses among the fields if there are more than the limits allow.
    cancel : CancelToken, optional
        Interrupts the reading.

    Raises
    ------
    TrainingError
        If training or validation has no field with sharp tissue.
    SlideError
        If the file cannot be read.
    CancelledError
        Between two fields, after ``cancel`` was called.
    """
    generator = np.random.default_rng(seed)
    tissue = _Tissue(tissue_mask(slide.thumbnail(_THUMBNAIL)), slide.bounds)
    training: list[PlacedField] = []
    held_out: list[PlacedField] = []
    blank = blurred = 0
    octaves = len(source.downsamples)
    for downsample in source.downsamples:
        step = downsample * scale
        side = max(2 * patch, min(TRAINING_SIDE, _LARGEST_READ // step))
        to_train = blocks(split.training, step, side, patch)
        to_measure = blocks(split.held_out, step, VALIDATION_SIDE, _LEAST_VALIDATION_SIDE)
        good = [b for b in to_train if tissue.share(b) >= LEAST_TISSUE]
        good_held_out = [b for b in to_measure if tissue.share(b) >= LEAST_TISSUE]
        blank += len(to_train) + len(to_measure) - len(good) - len(good_held_out)

        def read(
            region: Region, downsample: int = downsample, levels: str = source.levels
        ) -> PlacedField:
            if cancel is not None:
                cancel.raise_if_cancelled()
            likely = KERNELS.get(source.sharpness, MOST_LIKELY)
            field = read_field(slide, region, downsample, scale, levels, likely=likely)
            return PlacedField(field, region)

        found, used = [], 0
        for index in generator.permutation(len(good)):
            if used >= source.memory * 2**20 / octaves:
                break
            found.append(read(good[index]))
            used += _bytes_of(found[-1].field)
        chosen = generator.permutation(len(good_held_out))
        measured = [
            read(good_held_out[index])
            for index in chosen[: math.ceil(source.validation_fields / octaves)]
        ]
        limit = _BLURRED * _typical_sharpness([*found, *measured])
        for fields, kept in ((found, training), (measured, held_out)):
            sharp = [placed for placed in fields if sharpness(placed.field.truth) > limit]
            blurred += len(fields) - len(sharp)
            kept.extend(sharp)
    wants_training = bool(split.training) or source.held_out_share < 1
    for part, wanted, fields in (
        ("training", wants_training, training),
        ("validation", bool(split.held_out), held_out),
    ):
        if wanted and not fields:
            raise TrainingError(
                f"Slide {slide.path.name!r} has no field for {part} ({blank} blank, {blurred} "
                "blurred); choose a larger region with tissue, or a smaller patch or share."
            )
    return SlideCut(tuple(training), tuple(held_out), blank, blurred)


def blocks(areas: Iterable[Region], step: float, side: int, least: int) -> list[Region]:
    """Even blocks of each area, on the grid of LR pixels that begins at the slide's corner.

    Parameters
    ----------
    areas : iterable of Region
        Level-0 pixels; blocks do not reach beyond them.
    step : float
        Level-0 pixels per LR pixel.
    side : int
        Longest side of a block, LR pixels.
    least : int
        Shortest side; narrower areas give no block.
    """
    found = []
    for area in areas:
        columns = _spans(area.x / step, area.right / step, side, least)
        rows = _spans(area.y / step, area.bottom / step, side, least)
        found += [
            Region(x0 * step, y0 * step, (x1 - x0) * step, (y1 - y0) * step)
            for y0, y1 in rows
            for x0, x1 in columns
        ]
    return found


def read_field(
    slide: Slide,
    region: Region,
    downsample: int,
    scale: int,
    levels: str,
    *,
    likely: Kernel = MOST_LIKELY,
) -> Field:
    """LR, reference and truth of a region of whole LR pixels.

    Parameters
    ----------
    slide : Slide
        Open.
    region : Region
        Begins and ends at whole LR pixels; within the slide.
    downsample : int
        Of the truth; LR has ``scale`` times that, the reference half of LR's.
    scale : int
        Super-resolution factor.
    levels : {"computed", "stored", "own"}
        Everything from level 0, or from the coarsest stored level that is fine enough; own: as a
        check reads it.
    likely : Kernel
        Kernel of own levels that the slide lacks, where its levels do not reveal one.
    """
    name = f"{slide.path.name} at {downsample}: {region}"
    downsamples = (downsample * scale, downsample * scale // 2, downsample)
    if levels == "own":
        with check_levels(slide, region, downsample * scale, scale, likely).slide as pyramid:
            lr, reference, truth = (
                pyramid.read(pyramid.bounds, factor) for factor in (scale, scale // 2, 1)
            )
            known = tuple(without_jpeg2000(pyramid.degradation(d)) for d in (scale, scale // 2))
        return Field(name, lr, reference, truth, (known[0], known[1]))
    if levels == "stored":
        lr, reference, truth = (slide.read(region, d, registered=True) for d in downsamples)
        known = tuple(without_jpeg2000(slide.degradation(d)) for d in downsamples[:2])
        return Field(name, lr, reference, truth, (known[0], known[1]))
    outer = grown(region, _MARGIN * downsamples[0]).intersection(slide.bounds) or region
    pixels = slide.read_level(
        0, round(outer.x), round(outer.y), round(outer.width), round(outer.height)
    )
    left, top = region.x - outer.x, region.y - outer.y
    box = (left, top, left + region.width, top + region.height)
    picture = Image.fromarray(pixels)
    made: dict[int, NDArray[np.uint8]] = {}
    for d in downsamples:
        if d not in made:  # at ×2 the reference is the truth
            size = region.size_at(d)
            made[d] = np.asarray(picture.resize(size, Image.Resampling.BICUBIC, box=box))
    lr, reference, truth = (made[d] for d in downsamples)
    return Field(name, lr, reference, truth)


class _Tissue:
    """Share of tissue of any region, by the thumbnail."""

    def __init__(self, mask: NDArray[np.bool_], bounds: Region) -> None:
        self._mask = mask
        self._step = (bounds.width / mask.shape[1], bounds.height / mask.shape[0])

    def share(self, region: Region) -> float:
        x0, y0 = int(region.x / self._step[0]), int(region.y / self._step[1])
        x1 = max(x0 + 1, round(region.right / self._step[0]))
        y1 = max(y0 + 1, round(region.bottom / self._step[1]))
        part = self._mask[y0:y1, x0:x1]
        return float(part.mean()) if part.size else 0.0


def _spans(start: float, stop: float, side: int, least: int) -> list[tuple[int, int]]:
    first = math.ceil(start - 1e-6)
    pairs = (math.floor(stop + 1e-6) - first) // 2  # even sides, which any network takes
    if 2 * pairs < least:
        return []
    count = -(-2 * pairs // side)
    edges = [first + 2 * (index * pairs // count) for index in range(count + 1)]
    return list(itertools.pairwise(edges))


def _typical_sharpness(fields: Sequence[PlacedField]) -> float:
    return float(np.median([sharpness(placed.field.truth) for placed in fields] or [0.0]))


def _bytes_of(field: Field) -> int:
    distinct = {id(array): array for array in (field.lr, field.reference, field.truth)}
    return sum(array.nbytes for array in distinct.values())
