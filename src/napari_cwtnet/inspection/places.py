"""Which pixels of a field are a tile's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from napari_cwtnet.enhancement.tiling import Lattice, Span, Tile


@dataclass(frozen=True, slots=True)
class Placement:
    """The LR pixels that a tile owns in a field: where they lie in it, and where in the tile."""

    rows: slice
    columns: slice
    tile_rows: slice
    tile_columns: slice

    def copy(self, source: NDArray[Any], target: NDArray[Any], factor: int = 1) -> None:
        """Copy a tile's own pixels into the field.

        Parameters
        ----------
        source : ndarray
            ``(factor·h, factor·w, …)`` of everything that was read for the tile.
        target : ndarray
            Of the field, written to.
        factor : int
            Pixels of both per LR pixel along each axis.
        """
        there = (_times(self.rows, factor), _times(self.columns, factor))
        here = (_times(self.tile_rows, factor), _times(self.tile_columns, factor))
        target[there] = source[here]

    def owns(self, row: int, column: int) -> bool:
        """Whether an LR pixel of the field is the tile's."""
        return row in _range(self.rows) and column in _range(self.columns)


def placement(lattice: Lattice, tile: Tile) -> Placement:
    """Where a tile's own pixels lie; neighbours share the ramp between them half and half."""
    rows, tile_rows = _along(tile.rows, lattice.origin[1], lattice.size.height)
    columns, tile_columns = _along(tile.columns, lattice.origin[0], lattice.size.width)
    return Placement(rows, columns, tile_rows, tile_columns)


def _along(span: Span, first: int, count: int) -> tuple[slice, slice]:
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
