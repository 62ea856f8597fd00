"""Squared errors against the slide, block by block: whole numbers, so that no order matters."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.enhancement import Plan, Quality, enlarged, truth
from napari_cwtnet.export.whole_slide.layout import Block
from napari_cwtnet.export.whole_slide.part import cut
from napari_cwtnet.slides import Slide

_MARGIN = 4
"""LR pixels around a block, so that bicubic enlargement knows its neighbourhood."""


@dataclass(frozen=True, slots=True)
class SquaredErrors:
    """Sums over the samples of a block that count."""

    samples: int
    model: int
    bicubic: int
    reference: int | None
    """Of the reference, enlarged bicubically."""


def squared_errors(
    slide: Slide, plan: Plan, block: Block, pixels: NDArray[np.uint8]
) -> SquaredErrors | None:
    """Errors of a block ``(h, w, 3)`` of a plan and of bicubic; None where there is no truth.

    The outermost ``scale`` pixels of the whole do not count.
    """
    real = truth(slide, cut(plan, block))
    if real is None:
        return None
    inside = _inside(plan, block)
    real = real[inside]

    def squares(image: NDArray[np.uint8]) -> int:
        difference = image[inside].astype(np.int16) - real
        return int(np.square(difference, dtype=np.int32).sum(dtype=np.int64))

    return SquaredErrors(
        samples=real.size,
        model=squares(pixels),
        bicubic=squares(_enlarged(slide, plan, block, reference=False)),
        reference=squares(_enlarged(slide, plan, block, reference=True))
        if plan.with_reference
        else None,
    )


def quality(found: Iterable[SquaredErrors | None]) -> Quality:
    """PSNR over all blocks; SSIM, which looks across their borders, is not computed."""
    errors = [one for one in found if one is not None]
    samples = sum(one.samples for one in errors)
    if samples == 0:
        return Quality()

    def psnr(total: int) -> float:
        return math.inf if total == 0 else 10 * math.log10(255**2 * samples / total)

    referenced = [one.reference for one in errors if one.reference is not None]
    return Quality(
        psnr=psnr(sum(one.model for one in errors)),
        psnr_bicubic=psnr(sum(one.bicubic for one in errors)),
        psnr_reference_bicubic=psnr(sum(referenced)) if referenced else None,
    )


def _inside(plan: Plan, block: Block) -> tuple[slice, slice]:
    crop, (width, height) = plan.scale, plan.output_size
    rows = slice(max(0, crop - block.y), max(0, min(block.height, height - crop - block.y)))
    columns = slice(max(0, crop - block.x), max(0, min(block.width, width - crop - block.x)))
    return rows, columns


def _enlarged(slide: Slide, plan: Plan, block: Block, *, reference: bool) -> NDArray[np.uint8]:
    margin, (width, height) = _MARGIN * plan.scale, plan.output_size
    left, top = max(0, block.x - margin), max(0, block.y - margin)
    right = min(width, block.x + block.width + margin)
    bottom = min(height, block.y + block.height + margin)
    wider = Block(block.place, left, top, right - left, bottom - top)
    image = enlarged(slide, cut(plan, wider), reference=reference)
    rows = slice(block.y - top, block.y - top + block.height)
    return image[rows, block.x - left : block.x - left + block.width]
