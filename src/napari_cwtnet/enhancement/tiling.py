"""Tiles: their grid, order, halo and blending weights.

LR pixels form a lattice: pixel k of an axis covers ``[phase + k·d, phase + (k + 1)·d)`` in level-0
pixels, with the region's phase. A grid divides the lattice into tiles, and views of a slide may
share it; tile i owns the lattice pixels ``[x + i·step, x + (i + 1)·step)``. The input of a tile is
its own pixels and a halo; its output fades into its neighbours across a ramp inside the halo. At
the slide's edge a tile moves inwards and keeps its size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region, Size, parse_numbers

_LARGER = 1.2
"""Largest side of a tile, relative to the network's tile side."""
_SMALLER = 2
"""Divisor for the smallest side, used on small regions."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Own pixels of tile (i, j): ``[x + i·step_x, x + (i + 1)·step_x)``, and so for rows.

    Parameters
    ----------
    x, y : int
        Where a tile begins, lattice pixels; 0 up to the step.
    step_x, step_y : int
        Lattice pixels from a tile to the next; even.

    Raises
    ------
    RequestError
        If a step is odd or below 2, or a beginning is not within it.
    """

    x: int
    y: int
    step_x: int
    step_y: int

    def __post_init__(self) -> None:
        for begin, step in ((self.x, self.step_x), (self.y, self.step_y)):
            if step < 2 or step % 2 or not 0 <= begin < step:
                raise RequestError(
                    f"Grid {self}: give X,Y,STEPX,STEPY in LR pixels, steps even, and X and Y from "
                    "0 to below their steps."
                )

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.step_x},{self.step_y}"

    @classmethod
    def parse(cls, text: str) -> Grid:
        """Grid from ``"X,Y,STEPX,STEPY"``, lattice pixels.

        >>> Grid.parse("4,6,130,130").step_x
        130
        """
        return cls(*parse_numbers(text, int, "Grid", "X,Y,STEPX,STEPY", "LR pixels"))


def steps(tile: int, halo: int) -> tuple[int, int]:
    """The smallest and the largest grid step for a network.

    Parameters
    ----------
    tile, halo : int
        The network's tile side and overlap on each side, lattice pixels.
    """
    largest = 2 * int(tile * _LARGER / 2) - 2 * halo
    return max(2, min(largest, 2 * (tile // _SMALLER // 2) - 2 * halo)), largest


def fitted(first: tuple[int, int], count: tuple[int, int], tile: int, halo: int) -> Grid:
    """The grid that covers a rectangle with the fewest tiles of equal size.

    Parameters
    ----------
    first, count : (column, row), (columns, rows)
        First pixel and size of the rectangle, lattice pixels.
    tile, halo : int
        See :func:`steps`.

    >>> fitted((100, 0), (512, 60), 128, 8)
    Grid(x=96, y=64, step_x=130, step_y=68)
    """
    (x, step_x), (y, step_y) = (
        _along(begin, side, tile, halo) for begin, side in zip(first, count, strict=True)
    )
    return Grid(x, y, step_x, step_y)


def _along(first: int, count: int, tile: int, halo: int) -> tuple[int, int]:
    least, largest = steps(tile, halo)
    # Beyond its first and last own pixels a tile fades out across half of the halo.
    wanted = count + 2 * (halo // 2)
    number = -(-wanted // largest)
    step = max(least, 2 * -(-wanted // (2 * number)))
    return (first - halo // 2 - (number * step - wanted) // 2) % step, step


FULL_WEIGHT = 256
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Span:
    """One tile along one axis, in lattice pixels."""

    index: int
    read_start: int
    read_stop: int
    start: int
    """First pixel that counts: own pixels and the ramps."""
    stop: int
    ramp_in: int
    """Length of the ramp that begins at ``start``; 0 at the slide's edge."""
    ramp_out: int

    def weights(self, scale: int) -> NDArray[np.uint32]:
        """Weights 0..256 of the SR pixels from ``start`` to ``stop``.

        Where two tiles overlap their weights sum to exactly 256.
        """
        weights = np.full((self.stop - self.start) * scale, FULL_WEIGHT, np.uint32)
        for length, reverse in ((self.ramp_in * scale, False), (self.ramp_out * scale, True)):
            if length:
                ramp = (np.arange(length) * 2 + 1) * FULL_WEIGHT // (2 * length)
                if reverse:
                    weights[-length:] = FULL_WEIGHT - ramp
                else:
                    weights[:length] = ramp
        return weights


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile of the lattice."""

    columns: Span
    rows: Span
    read: Region
    """The input to read, with the halo, level-0 pixels."""

    @property
    def index(self) -> tuple[int, int]:
        """Column and row on the slide's grid of tiles."""
        return self.columns.index, self.rows.index

    def weights(self, scale: int) -> NDArray[np.uint32]:
        """Weights of its SR pixels, ``(h, w)``; overlapping tiles sum to 256²."""
        return self.rows.weights(scale)[:, None] * self.columns.weights(scale)[None, :]


def crop_halo(sr: NDArray[np.uint8], tile: Tile, scale: int) -> NDArray[np.uint8]:
    """The SR pixels of a tile that count: own pixels and ramps, without the rest of the halo.

    Parameters
    ----------
    sr : ndarray
        ``(s·h, s·w, 3)`` of everything that was read for the tile.
    tile : Tile
        Its place.
    scale : int
        SR pixels per LR pixel along each axis.
    """
    rows, columns = (
        slice((span.start - span.read_start) * scale, (span.stop - span.read_start) * scale)
        for span in (tile.rows, tile.columns)
    )
    return np.ascontiguousarray(sr[rows, columns])


@dataclass(frozen=True)
class Lattice:
    """The LR pixels of a slide at one downsample and phase, and the tiles that a region needs.

    Parameters
    ----------
    region : Region
        Level-0 pixels, within the slide.
    slide_size : Size
        Level-0 pixels.
    downsample : float
        Level-0 pixels per lattice pixel.
    scale : int
        SR pixels per lattice pixel along each axis.
    tile, halo : int
        The network's tile side and overlap on each side, lattice pixels.
    grid : Grid, optional
        Grid of the tiles; by default fitted to the region.
    """

    region: Region
    slide_size: Size
    downsample: float
    scale: int
    tile: int
    halo: int
    grid: Grid = None  # type: ignore[assignment]  # set in __post_init__

    def __post_init__(self) -> None:
        if self.grid is None:
            object.__setattr__(self, "grid", self.own_grid)

    @cached_property
    def own_grid(self) -> Grid:
        """The grid that is fitted to the region."""
        return fitted(self.origin, self.size, self.tile, self.halo)

    @property
    def tile_size(self) -> Size:
        """Size of a tile with its halo, lattice pixels; less on a smaller slide."""
        return Size(self.grid.step_x + 2 * self.halo, self.grid.step_y + 2 * self.halo)

    @cached_property
    def origin(self) -> tuple[int, int]:
        """Column and row of the region's first lattice pixel."""
        return (
            math.floor(self.region.x / self.downsample + _ROUNDING),
            math.floor(self.region.y / self.downsample + _ROUNDING),
        )

    @cached_property
    def phase(self) -> tuple[float, float]:
        """Level-0 position of lattice pixel (0, 0); other phases are other lattices."""
        column, row = self.origin
        return (
            round(self.region.x - column * self.downsample, 6),
            round(self.region.y - row * self.downsample, 6),
        )

    @property
    def size(self) -> Size:
        """Lattice pixels that cover the region."""
        return Size(
            max(1, math.ceil(self.region.width / self.downsample - _ROUNDING)),
            max(1, math.ceil(self.region.height / self.downsample - _ROUNDING)),
        )

    @property
    def tile_count(self) -> int:
        """How many tiles touch the region; quick even where they are millions."""
        columns, rows = self._columns_and_rows()
        return len(columns) * len(rows)

    def tiles(self) -> tuple[Tile, ...]:
        """Every tile that touches the region, nearest to its centre first."""
        columns, rows = self._columns_and_rows()
        middle_x = self.origin[0] + self.size.width / 2
        middle_y = self.origin[1] + self.size.height / 2

        def distance(tile: Tile) -> tuple[float, int, int]:
            dx = (tile.columns.start + tile.columns.stop) / 2 - middle_x
            dy = (tile.rows.start + tile.rows.stop) / 2 - middle_y
            return dx * dx + dy * dy, tile.rows.index, tile.columns.index

        tiles = [Tile(c, r, self._level0(c, r)) for r in rows for c in columns]
        return tuple(sorted(tiles, key=distance))

    def _columns_and_rows(self) -> tuple[list[Span], list[Span]]:
        return (
            self._spans(self.origin[0], self.size.width, self.slide_size.width, 0),
            self._spans(self.origin[1], self.size.height, self.slide_size.height, 1),
        )

    def _spans(self, first: int, count: int, slide_side: int, axis: int) -> list[Span]:
        end = max(
            first + count,
            math.ceil((slide_side - self.phase[axis]) / self.downsample - _ROUNDING),
        )
        begin, step = (
            (self.grid.x, self.grid.step_x) if axis == 0 else (self.grid.y, self.grid.step_y)
        )
        tile = self.tile_size[axis]
        ramp = min(self.halo, step) // 2
        # The first and the last tile have no halo beyond the slide, so they own those pixels.
        low = (self.halo - begin) // step
        last = low if end <= tile else max(low, -(-(end - self.halo - begin) // step) - 1)
        spans = []
        for index in range(max(low, min(last, (first - ramp - begin) // step)), last + 1):
            own_start = 0 if index == low else begin + index * step
            own_stop = end if index == last else begin + (index + 1) * step
            start = own_start - (ramp if index > low else 0)
            stop = own_stop + (ramp if index < last else 0)
            if start >= first + count:
                break
            if stop <= first:
                continue
            read_stop = min(max(own_start - self.halo, 0) + tile, end)
            read_start = max(0, read_stop - tile)
            spans.append(
                Span(
                    index=index,
                    read_start=read_start,
                    read_stop=read_stop,
                    start=start,
                    stop=stop,
                    ramp_in=2 * ramp if index > low else 0,
                    ramp_out=2 * ramp if index < last else 0,
                )
            )
        return spans

    def _level0(self, columns: Span, rows: Span) -> Region:
        d = self.downsample
        return Region(
            self.phase[0] + columns.read_start * d,
            self.phase[1] + rows.read_start * d,
            (columns.read_stop - columns.read_start) * d,
            (rows.read_stop - rows.read_start) * d,
        )


@dataclass(frozen=True, slots=True)
class Placement:
    """The LR pixels that a tile owns: their position in the region, and in the tile."""

    rows: slice
    columns: slice
    tile_rows: slice
    tile_columns: slice

    def copy(self, source: NDArray[Any], target: NDArray[Any], factor: int = 1) -> None:
        """Copy a tile's own pixels into the region's array.

        Parameters
        ----------
        source : ndarray
            ``(factor·h, factor·w, …)`` of the tile's whole input.
        target : ndarray
            The region's array to write to.
        factor : int
            Pixels of both per LR pixel along each axis.
        """
        there = (_times(self.rows, factor), _times(self.columns, factor))
        here = (_times(self.tile_rows, factor), _times(self.tile_columns, factor))
        target[there] = source[here]

    def owns(self, row: int, column: int) -> bool:
        """Whether the tile owns an LR pixel of the region."""
        return row in _range(self.rows) and column in _range(self.columns)


def placement(lattice: Lattice, tile: Tile) -> Placement:
    """Position of a tile's own pixels; neighbours divide the ramp between them in half."""
    rows, tile_rows = _owned(tile.rows, lattice.origin[1], lattice.size.height)
    columns, tile_columns = _owned(tile.columns, lattice.origin[0], lattice.size.width)
    return Placement(rows, columns, tile_rows, tile_columns)


def _owned(span: Span, first: int, count: int) -> tuple[slice, slice]:
    start = min(max(span.start + span.ramp_in // 2, first), first + count)
    stop = max(min(span.stop - span.ramp_out // 2, first + count), start)
    return (
        slice(start - first, stop - first),
        slice(start - span.read_start, stop - span.read_start),
    )


def _times(pixels: slice, factor: int) -> slice:
    return slice(pixels.start * factor, pixels.stop * factor)


def _range(pixels: slice) -> range:
    return range(pixels.start, pixels.stop)
