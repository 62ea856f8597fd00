"""A region of a slide some octaves down, as this slide's own levels are made, with its truth.

Where the slide has stored a level, that is it. Where it has not, the level is made: by the kernel
that the slide's levels were fitted to be made with, or the 2×2 mean that most scanners take, and
through the codec of level 0 with its own tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides.array_slide import ArraySlide
from napari_cwtnet.slides.backend import Pixels, is_of
from napari_cwtnet.slides.degradation import Compression, Degradation, Kernel
from napari_cwtnet.slides.degrade import degrade
from napari_cwtnet.slides.slide import Slide

MadeBy = Literal["stored level", "fitted", "assumed"]
MAX_PIXELS = 2**26
"""Pixels of the largest truth (67 Mpx), held in memory a few times over."""
MOST_LIKELY = Kernel("box")


@dataclass(frozen=True, slots=True)
class CheckLevels:
    """What a check reads.

    Parameters
    ----------
    slide : ArraySlide
        Truth at downsample 1, the reference at ``scale / 2`` and LR at ``scale``.
    region : Region
        What it shows, level-0 pixels of the slide that was scanned.
    made_by : {"stored level", "fitted", "assumed"}
        Where LR comes from: the slide, the kernel that was fitted to its levels, or the most likely
        one.
    """

    slide: ArraySlide
    region: Region
    made_by: MadeBy


def check_levels(
    slide: Slide,
    region: Region,
    downsample: float,
    scale: int,
    likely: Kernel = MOST_LIKELY,
    *,
    tell_kernel: bool = True,
) -> CheckLevels:
    """Truth, reference and LR of a region, as this slide's own levels are made.

    Parameters
    ----------
    slide : Slide
        Open.
    region : Region
        Level-0 pixels; cut to the slide and to whole LR pixels.
    downsample : float
        Of LR, at least ``scale``: the slide then holds the truth.
    scale : int
        Super-resolution factor.
    likely : Kernel
        Of levels that the slide lacks, where its own levels do not tell.
    tell_kernel : bool
        False leaves the kernel out of what is known of the levels, as it is of level 0: for a check
        that is to say what the model is worth there.

    Raises
    ------
    RequestError
        If the slide holds no truth there, or the region is too small or too large.
    SlideError
        If the slide cannot be read.
    """
    finest = truth_downsample(downsample, scale)
    covered = _whole_pixels(slide, region, downsample)
    rows, columns = (round(side / downsample) for side in (covered.height, covered.width))
    if rows * columns * scale**2 > MAX_PIXELS:
        raise RequestError(
            f"Region {region} has {rows * columns * scale**2 / 1e6:.0f} million pixels to check; "
            f"choose one of at most {MAX_PIXELS / 1e6:.0f} million."
        )
    truth = slide.read(covered, finest, registered=True)
    images: dict[int, Pixels] = {1: truth}
    known: dict[int, Degradation] = {}
    made_by: MadeBy = "stored level"
    for factor in sorted({scale // 2, scale} - {1}):
        d = finest * factor
        if any(is_of(level, d) for level in slide.levels):
            images[factor] = slide.read(covered, d, registered=True)
            known[factor] = slide.degradation(d)
            made_by = "stored level"
        else:
            known[factor] = own_degradation(slide, likely)
            images[factor] = degrade(truth, known[factor], factor)
            made_by = "fitted" if known[factor].kernel_source == "fitted" else "assumed"
    if not tell_kernel:
        known = {f: one.without("kernel", "sharpening") for f, one in known.items()}
    mpp = None if slide.mpp is None else slide.mpp * finest
    return CheckLevels(
        ArraySlide(images, known, mpp, f"{slide.path.name}, {downsample:g}"), covered, made_by
    )


def truth_downsample(downsample: float, scale: int) -> float:
    """Level-0 pixels per pixel of the truth, at least 1, where LR has a downsample.

    Raises
    ------
    RequestError
        If the slide holds no truth there.
    """
    finest = downsample / scale
    if not finest >= 1:  # NaN is not
        raise RequestError(
            f"Downsample {downsample:g} cannot be checked at ×{scale}: the slide holds nothing "
            f"finer than its level 0; give at least {scale}."
        )
    return finest


def own_degradation(slide: Slide, likely: Kernel = MOST_LIKELY) -> Degradation:
    """What a level of this slide would go through, had its scanner stored one more.

    The kernel of the levels that there are, else ``likely``; the codec of level 0.
    """
    compression = slide.levels[0].degradation.compression or Compression("none")
    source = slide.levels[0].degradation.compression_source or "assumed"
    for level in slide.levels[1:]:
        found = level.degradation
        if found.kernel is not None:
            return Degradation(found.kernel, found.sharpening, None, compression, "fitted", source)
    return Degradation(likely, 0.0, None, compression, "assumed", source)


def _whole_pixels(slide: Slide, region: Region, downsample: float) -> Region:
    inside = region.intersection(slide.bounds)
    if inside is None:
        raise RequestError(
            f"Region {region} lies outside the slide, which is {slide.size.width} × "
            f"{slide.size.height} pixels at level 0; choose a region inside."
        )
    left, top = (math.ceil(start / downsample - 1e-6) for start in (inside.x, inside.y))
    right, bottom = (math.floor(end / downsample + 1e-6) for end in (inside.right, inside.bottom))
    if right <= left or bottom <= top:
        raise RequestError(
            f"Region {region} holds no whole pixel of downsample {downsample:g}; choose a larger "
            "one."
        )
    d = downsample
    return Region(left * d, top * d, (right - left) * d, (bottom - top) * d)
