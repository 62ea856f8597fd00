"""Which levels are shown of a slide: the stored ones, and derived ones where those leave gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from napari_cwtnet.geometry import Size
from napari_cwtnet.slides import Level

MAX_GAP = 4
"""Largest factor between two shown levels; more would be read for nothing when zooming out."""

COARSEST_PIXELS = 2**20
"""Pixels of the last level at most: napari reads it whole, on the GUI thread."""

_WHOLE = 1e-3


@dataclass(frozen=True, slots=True)
class ShownLevel:
    """A level of the layer.

    Parameters
    ----------
    downsample : int
        Level-0 pixels per pixel.
    size : Size
        In its own pixels; all levels cover the same rectangle exactly.
    stored : int or None
        Index of the slide's level with these pixels; None where they are derived.
    """

    downsample: int
    size: Size
    stored: int | None


def shown_levels(levels: Sequence[Level]) -> tuple[ShownLevel, ...]:
    """The levels to show, finest first.

    napari takes the ratio of two levels' sizes for their downsample, but stored sizes are rounded.
    So every level is extended to the right and below, by less than one pixel of the coarsest, to
    where all sizes are whole: then ratios are exact and no level is shifted against another.

    Examples
    --------
    >>> tile = Size(256, 256)
    >>> stored = [Level(1.0, Size(46000, 32914), tile), Level(16.0, Size(2875, 2057), tile)]
    >>> [(level.downsample, level.stored) for level in shown_levels(stored)]
    [(1, 0), (4, None), (16, 1), (64, None)]
    """
    factors = _with_gaps_filled(_usable(levels))
    finest = levels[0].size
    while (pixels := _pixels(finest, factors[-1][0])) > COARSEST_PIXELS:
        step = 2 if pixels <= 4 * COARSEST_PIXELS else MAX_GAP
        factors.append((factors[-1][0] * step, None))
    coarsest = factors[-1][0]
    columns, rows = (math.ceil(length / coarsest) for length in finest)
    return tuple(
        ShownLevel(factor, Size(columns * coarsest // factor, rows * coarsest // factor), stored)
        for factor, stored in factors
    )


def _usable(levels: Sequence[Level]) -> list[tuple[int, int | None]]:
    """Stored levels whose factors are whole multiples of each other, down to the coarsest."""
    usable: list[tuple[int, int | None]] = [(1, 0)]
    for index, level in enumerate(levels[1:], start=1):
        previous = usable[-1][0]
        if _pixels(levels[0].size, previous) <= COARSEST_PIXELS:
            break
        factor = round(level.downsample)
        is_whole = abs(level.downsample - factor) < _WHOLE
        if is_whole and factor > previous and factor % previous == 0:
            usable.append((factor, index))
    return usable


def _with_gaps_filled(
    factors: Sequence[tuple[int, int | None]],
) -> list[tuple[int, int | None]]:
    filled = [factors[0]]
    for factor, stored in factors[1:]:
        while (gap := factor // filled[-1][0]) > MAX_GAP:
            step = next((k for k in range(MAX_GAP, 1, -1) if gap % k == 0), None)
            if step is None:
                break
            filled.append((filled[-1][0] * step, None))
        filled.append((factor, stored))
    return filled


def _pixels(finest: Size, factor: int) -> float:
    return finest.width / factor * finest.height / factor
