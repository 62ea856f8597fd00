"""A stored level to any other pixel size: registered to sub-pixel, block by block.

The usual kernel is Pillow's antialiased bicubic, the one that low-resolution training images are
made with, so that what the network sees here is what it was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.backend import Pixels

BLOCK_SIDE = 4096
"""Source pixels along a side of the largest rectangle that is held at once (16 Mpx)."""

Filter = Literal["bicubic", "box"]
"""Pillow's kernels: antialiased bicubic, or the mean of the area that a pixel covers."""

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "box": Image.Resampling.BOX}
_SUPPORT = 2.0
_WHOLE = 1e-6

Gather = Callable[[int, int, int, int], Pixels]


class Axis(NamedTuple):
    """Where ``length`` output pixels lie along one axis of a level, in its pixels.

    Pixel ``k`` covers ``[start + k * step, start + (k + 1) * step)``.
    """

    start: float
    step: float
    length: int

    @property
    def whole(self) -> bool:
        """Whether output pixels are the level's own."""
        return abs(self.start - round(self.start)) < _WHOLE and abs(self.step - 1) < _WHOLE

    def blocks(self, side: int) -> Iterator[tuple[int, int]]:
        """First and one past the last output pixel of each block."""
        margin = _margin(self.step)
        count = max(1, int((side - 2 * margin) / self.step))
        for first in range(0, self.length, count):
            yield first, min(first + count, self.length)


def resample(
    gather: Gather,
    x: Axis,
    y: Axis,
    out: Pixels,
    block_side: int = BLOCK_SIDE,
    *,
    by: Filter = "bicubic",
) -> None:
    """Fill ``out`` with a level's pixels, resampled.

    Parameters
    ----------
    gather : callable
        ``gather(left, top, right, bottom)`` gives the level's pixels (h, w, 3) uint8, replicated
        beyond its edges.
    x, y : Axis
        Where the output pixels lie.
    out : ndarray
        (y.length, x.length, 3) uint8, written to.
    block_side : int
        Bound for the sides of the rectangles asked of ``gather``, in pixels; exceeded only where
        the kernel of a single output pixel is wider.
    by : {"bicubic", "box"}
        The kernel.
    """
    if x.whole and y.whole:
        left, top = round(x.start), round(y.start)
        for i0, i1 in y.blocks(block_side):
            for j0, j1 in x.blocks(block_side):
                out[i0:i1, j0:j1] = gather(left + j0, top + i0, left + j1, top + i1)
        return
    for i0, i1 in y.blocks(block_side):
        for j0, j1 in x.blocks(block_side):
            out[i0:i1, j0:j1] = _block(gather, x, y, (j0, j1), (i0, i1), by=by)


def _block(
    gather: Gather,
    x: Axis,
    y: Axis,
    columns: tuple[int, int],
    rows: tuple[int, int],
    *,
    by: Filter,
) -> Pixels:
    left, right = _span(x, *columns)
    top, bottom = _span(y, *rows)
    source = gather(left, top, right, bottom)
    # Pillow keeps the box in single precision: relative to the block, it stays exact to 1e-3 px.
    box = (
        x.start + columns[0] * x.step - left,
        y.start + rows[0] * y.step - top,
        x.start + columns[1] * x.step - left,
        y.start + rows[1] * y.step - top,
    )
    size = Size(columns[1] - columns[0], rows[1] - rows[0])
    image = Image.fromarray(source).resize(size, _FILTERS[by], box=box)
    return np.asarray(image)


def _span(axis: Axis, first: int, last: int) -> tuple[int, int]:
    margin = _margin(axis.step)
    return (
        math.floor(axis.start + first * axis.step) - margin,
        math.ceil(axis.start + last * axis.step) + margin,
    )


def _margin(step: float) -> int:
    return math.ceil(_SUPPORT * max(1.0, step)) + 1
