"""Matched samples of a slide's levels: chosen by quality, split by place or by slide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.geometry import Region, magnification
from napari_cwtnet.slides import Slide
from napari_cwtnet.training.split import grown

TEST_PART = 6
"""One sample in six is for testing: 5 : 1, as the paper has it."""

FINEST_SIDE = 1024
GUARD = 64
"""Least distance between training and test samples, pixels of the coarsest level."""

_SLIDES_TO_SPLIT_BY = TEST_PART
_LEAST_CORRELATION = 0.9
_STORED = 0.01


@dataclass(frozen=True, slots=True)
class SampleLevel:
    """One magnification of a slide."""

    magnification: int
    downsample: float
    side: int
    """Pixels along a side of a sample."""
    stored: bool
    """Whether the slide stores it; otherwise it is made from the next finer level."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One square of a slide, level-0 pixels."""

    slide: int
    region: Region
    label: str = ""
    test: bool = False


def sample_levels(slide: Slide, magnifications: Sequence[int]) -> tuple[SampleLevel, ...]:
    """The levels of a slide at the given magnifications, finest first.

    Raises
    ------
    TrainingError
        If the slide's pixel size is unknown or of no common magnification, or too coarse.
    """
    name, native = slide.path.name, magnification(slide.mpp)
    if native is None:
        size = (
            "has no pixel size, so that its magnification is unknown"
            if slide.mpp is None
            else f"has {slide.mpp:g} µm per pixel, which is none of 80, 40, 20, 10 or 5×"
        )
        raise TrainingError(f"Slide {name!r} {size}; pass --mpp.")
    finest = max(magnifications)
    if finest > native:
        raise TrainingError(
            f"Slide {name!r} has {native}× at its finest; {finest}× cannot be had, ask for lower "
            "--levels or leave it out."
        )
    return tuple(
        SampleLevel(
            label,
            native / label,
            FINEST_SIDE * label // finest,
            any(abs(level.downsample * label / native - 1) < _STORED for level in slide.levels),
        )
        for label in sorted(magnifications, reverse=True)
    )


def square_at(x: float, y: float, levels: Sequence[SampleLevel]) -> Region:
    """The sample with its upper left corner next to a point, on whole pixels of every level."""
    step = levels[-1].downsample
    side = levels[0].side * levels[0].downsample
    return Region(round(x / step) * step, round(y / step) * step, side, side)


def grid(bounds: Region, levels: Sequence[SampleLevel]) -> list[Region]:
    """Squares over a slide, with the guard band between all of them."""
    side = levels[0].side * levels[0].downsample
    stride = side + GUARD * levels[-1].downsample
    return [
        Region(column * stride, row * stride, side, side)
        for row in range(int((bounds.height - side) // stride) + 1)
        for column in range(int((bounds.width - side) // stride) + 1)
    ]


def split_samples(
    samples: Sequence[Sample], guard: Sequence[float], seed: int
) -> tuple[list[Sample], int]:
    """Split five to one: by slide if there are six or more, else the right-hand part of each.

    Parameters
    ----------
    samples : sequence of Sample
        Of all slides.
    guard : sequence of float
        Width of the guard band for each slide, level-0 pixels.
    seed : int
        Chooses the slides for testing.

    Returns
    -------
    samples, near : list of Sample, int
        With ``test`` set, without training samples closer to a test sample than the guard band,
        and the number of these.
    """
    slides = sorted({sample.slide for sample in samples})
    if len(slides) >= _SLIDES_TO_SPLIT_BY:
        count = max(1, round(len(slides) / TEST_PART))
        chosen = np.random.default_rng(seed).permutation(len(slides))[:count]
        tested = {slides[index] for index in chosen}
        return [replace(sample, test=sample.slide in tested) for sample in samples], 0
    kept: list[Sample] = []
    near = 0
    for slide in slides:
        own = sorted(
            (s for s in samples if s.slide == slide), key=lambda s: (s.region.x, s.region.y)
        )
        count = round(len(own) / TEST_PART) or min(1, len(own) - 1)
        tested_own = [replace(sample, test=True) for sample in own[len(own) - count :]]
        holes = [grown(sample.region, guard[slide]) for sample in tested_own]
        for sample in own[: len(own) - count]:
            if any(sample.region.intersection(hole) for hole in holes):
                near += 1
            else:
                kept.append(sample)
        kept += tested_own
    return kept, near


def levels_agree(images: Sequence[NDArray[np.uint8]]) -> bool:
    """Whether each coarser image shows what the finest does: correlation of 0.9 or more."""
    finest = Image.fromarray(images[0])
    for image in images[1:]:
        size = (image.shape[1], image.shape[0])
        expected = np.asarray(finest.resize(size, Image.Resampling.BICUBIC), np.float64)
        first, second = expected - expected.mean(), image - image.mean()
        spread = float(np.sqrt((first**2).sum() * (second**2).sum()))
        if spread == 0 or float((first * second).sum()) < _LEAST_CORRELATION * spread:
            return False
    return True
