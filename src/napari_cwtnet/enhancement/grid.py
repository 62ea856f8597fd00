"""Where the tiles of a slide begin, and how far they are apart."""

from __future__ import annotations

from dataclasses import dataclass

from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import parse_numbers

_LARGER = 1.2
"""A tile may be so many times the side that the network was made for."""
_SMALLER = 2
"""And so many times smaller, where the region is."""


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
    """The least and the largest step that suit a network.

    Parameters
    ----------
    tile, halo : int
        Side of the tiles that it was made for and their overlap on each side, lattice pixels.
    """
    largest = 2 * int(tile * _LARGER / 2) - 2 * halo
    return max(2, min(largest, 2 * (tile // _SMALLER // 2) - 2 * halo)), largest


def fitted(first: tuple[int, int], count: tuple[int, int], tile: int, halo: int) -> Grid:
    """The grid whose tiles fit a rectangle: as few as may be, all alike, none for a mere rim.

    Parameters
    ----------
    first, count : (column, row), (columns, rows)
        First pixel and size of the rectangle, lattice pixels.
    tile, halo : int
        As :func:`steps` takes them.

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
