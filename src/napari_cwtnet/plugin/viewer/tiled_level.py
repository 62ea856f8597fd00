"""`TiledLevel`: a level of a slide that napari reads like an array, and only where it looks."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_cwtnet.errors import SlideError
from napari_cwtnet.geometry import Region, Size
from napari_cwtnet.slides import Level, Slide
from napari_cwtnet.slides.backend import SHARED_CACHE

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


_DERIVED_TILE = 512
_CHUNK_SIDES = (256, 1024)

Pixels = NDArray[np.uint8]
Report = Callable[[str], None]


def tiled_levels(slide: Slide, report: Report) -> list[TiledLevel]:
    """What a multiscale layer of a slide is made of, finest first.

    Parameters
    ----------
    slide : Slide
        An open slide.
    report : callable
        Told in one line, and once, what cannot be read; from the thread that reads.
    """
    reported = threading.Event()

    def report_once(message: str) -> None:
        if not reported.is_set():
            reported.set()
            report(message)

    return [TiledLevel(slide, level, report_once) for level in shown_levels(slide.levels)]


class TiledLevel:
    """A level, (height, width, 3) uint8 RGB, decoded tile by tile when it is indexed.

    From any thread; tiles are kept in the cache that all slides share.

    Parameters
    ----------
    slide : Slide
        Where pixels come from; held as long as the level is.
    level : ShownLevel
        Which pixels.
    report : callable
        Told in one line what cannot be read.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, slide: Slide, level: ShownLevel, report: Report) -> None:
        self.slide = slide
        self.level = level
        self.shape = (level.size.height, level.size.width, 3)
        self.size = math.prod(self.shape)
        self.chunks = (*self._chunk()[::-1], 3)
        self._owner = object()
        self._report = report

    @property
    def downsample(self) -> int:
        """Level-0 pixels per pixel."""
        return self.level.downsample

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Pixels:
        """Pixels of a rectangle; any basic index of numpy's."""
        keys = key if isinstance(key, tuple) else (key,)
        if Ellipsis in keys:
            at = keys.index(Ellipsis)
            missing = self.ndim - (len(keys) - 1)
            keys = keys[:at] + (slice(None),) * missing + keys[at + 1 :]
        keys += (slice(None),) * (self.ndim - len(keys))
        (y0, y1, rows), (x0, x1, columns) = (
            _span(k, length) for k, length in zip(keys[:2], self.shape[:2], strict=True)
        )
        if y0 >= y1 or x0 >= x1:
            return np.empty(self.shape, np.uint8)[:0][rows, columns, keys[2]]
        return self._read(x0, y0, x1, y1)[rows, columns, keys[2]]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("A level is made into an array by reading it; that is always a copy.")
        return self[:].astype(dtype or self.dtype, copy=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> TiledLevel:
        return self  # nothing in it changes, and an open file is not copied

    def __repr__(self) -> str:
        """Slide, downsample and size."""
        size = self.level.size
        kind = "derived" if self.level.stored is None else f"level {self.level.stored}"
        return (
            f"TiledLevel({self.slide.path.name!r}, {kind}, downsample {self.downsample}, "
            f"{size.width} × {size.height})"
        )

    def _chunk(self) -> Size:
        """What a request is widened to: whole tiles, not tiny ones and not whole rows of strips."""
        if self.level.stored is None:
            return Size(_DERIVED_TILE, _DERIVED_TILE)
        smallest, largest = _CHUNK_SIDES
        tile = self.slide.levels[self.level.stored].tile
        return Size(
            *(
                min(side * math.ceil(smallest / side), largest) if side < largest else largest
                for side in tile
            )
        )

    def _read(self, x0: int, y0: int, x1: int, y1: int) -> Pixels:
        """Pixels of a rectangle; tiles that cannot be read are background, and reported once."""
        try:
            return self._read_all(x0, y0, x1, y1)
        except SlideError as error:
            self._report(str(error))
        out = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
        out[:] = self.slide.background
        width, height = self._chunk()
        for top in range(y0 // height * height, y1, height):
            for left in range(x0 // width * width, x1, width):
                xs, ys = (
                    (max(left, x0), min(left + width, x1)),
                    (max(top, y0), min(top + height, y1)),
                )
                with contextlib.suppress(SlideError):
                    pixels = self._read_all(xs[0], ys[0], xs[1], ys[1])
                    out[ys[0] - y0 : ys[1] - y0, xs[0] - x0 : xs[1] - x0] = pixels
        return out

    def _read_all(self, x0: int, y0: int, x1: int, y1: int) -> Pixels:
        if self.level.stored is not None:
            return self.slide.read_level(self.level.stored, x0, y0, x1 - x0, y1 - y0)
        out = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
        side = _DERIVED_TILE
        for row in range(y0 // side, -(-y1 // side)):
            for column in range(x0 // side, -(-x1 // side)):
                tile = self._derived(column, row)
                left, top = column * side, row * side
                right, bottom = min(left + tile.shape[1], x1), min(top + tile.shape[0], y1)
                out[max(top, y0) - y0 : bottom - y0, max(left, x0) - x0 : right - x0] = tile[
                    max(top, y0) - top : bottom - top, max(left, x0) - left : right - left
                ]
        return out

    def _derived(self, column: int, row: int) -> Pixels:
        def derive() -> Pixels:
            d, side = self.downsample, _DERIVED_TILE
            width = min(side, self.shape[1] - column * side)
            height = min(side, self.shape[0] - row * side)
            place = Region(column * side * d, row * side * d, width * d, height * d)
            return self.slide.read(place, d)

        return SHARED_CACHE.get((self._owner, self.downsample, column, row), derive)


def _span(key: Any, length: int) -> tuple[int, int, Any]:
    """First and end of what an index touches, and the index relative to the first."""
    if isinstance(key, slice):
        start, stop, step = key.indices(length)
        if step == 1:
            return start, stop, slice(None)
        touched = range(start, stop, step)
        if not touched:
            return 0, 0, slice(None)
        low, high = min(touched[0], touched[-1]), max(touched[0], touched[-1])
        return low, high + 1, slice(None, None, step)
    index = int(key)
    if not -length <= index < length:
        raise IndexError(f"index {index} is out of bounds for {length} pixels")
    index %= length
    return index, index + 1, 0
