"""The blocks that a large image is made by: where they lie, and in which order they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from napari_cwtnet.enhancement import Plan
from napari_cwtnet.errors import RequestError
from napari_cwtnet.export.ome_zarr import CHUNK
from napari_cwtnet.export.whole_slide.borders import BUDGET
from napari_cwtnet.geometry import Size

BLOCK = 2 * CHUNK
"""Side of a block, SR pixels."""
CLUSTER_BLOCK = 4 * CHUNK
"""Where neighbours are computed in different processes, and the tiles between them by both."""

Place = tuple[int, int]
"""Column and row of a block."""


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle of the output, in SR pixels."""

    place: Place
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Blocks of an image.

    They come row by row within strips, each of so many columns that the tiles along its rows can be
    kept in memory from one row to the next.

    Parameters
    ----------
    size : Size
        Of the image, SR pixels.
    side : int
        Of a block, a multiple of the chunk's, so that no chunk has two authors.
    strip : int
        Columns of blocks in a strip.

    Raises
    ------
    RequestError
        If ``side`` is no multiple of the chunk's side.
    """

    size: Size
    side: int
    strip: int

    def __post_init__(self) -> None:
        if self.side < CHUNK or self.side % CHUNK:
            raise RequestError(
                f"Block of {self.side} pixels: give a multiple of {CHUNK}, such as {BLOCK}."
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Columns and rows of blocks."""
        return -(-self.size.width // self.side), -(-self.size.height // self.side)

    def block(self, place: Place) -> Block:
        """The block at a column and row; smaller at the right and lower edge."""
        x, y = (number * self.side for number in place)
        width, height = min(self.side, self.size.width - x), min(self.side, self.size.height - y)
        return Block(place, x, y, width, height)

    def blocks(self) -> Iterator[Block]:
        """Every block, in the order in which they are made."""
        columns, rows = self.grid
        for first in range(0, columns, self.strip):
            for row in range(rows):
                for column in range(first, min(first + self.strip, columns)):
                    yield self.block((column, row))

    def uses(self, x: int, y: int, right: int, bottom: int) -> int:
        """How many blocks meet a rectangle of SR pixels, which may reach beyond the image."""
        across = min(right, self.size.width) - 1, max(x, 0)
        down = min(bottom, self.size.height) - 1, max(y, 0)
        columns, rows = (end // self.side - begin // self.side + 1 for end, begin in (across, down))
        return columns * rows


def lay_out(plan: Plan, side: int) -> Layout:
    """Blocks of a plan's output, strips as wide as the memory for the tiles between them allows."""
    width, height = plan.lattice.tile_size
    tile_bytes = 3 * width * height * plan.scale**2
    # A border can lie in the ramp between two rows of tiles, and both are kept then.
    tiles = BUDGET // (2 * tile_bytes)
    across = tiles * plan.lattice.grid.step_x * plan.scale
    return Layout(plan.output_size, side, max(1, across // side - 1))
