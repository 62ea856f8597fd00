"""The blocks that a large image is made by: where they lie, and in which order they come."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from pydantic import Field

from napari_cwtnet.enhancement import Plan, Quality, enlarged, truth
from napari_cwtnet.enhancement.engine import TileResult
from napari_cwtnet.enhancement.tiling import Lattice, Span, Tile
from napari_cwtnet.errors import RequestError
from napari_cwtnet.export.pyramid import CHUNK
from napari_cwtnet.geometry import Region, Size
from napari_cwtnet.slides import Slide

BUDGET = 128 * 2**20


class BorderTiles:
    """Finished tiles that other blocks need too, within a byte budget.

    Parameters
    ----------
    max_bytes : int
        Upper bound of the pixels kept; what was kept first goes first.
    """

    def __init__(self, max_bytes: int = BUDGET) -> None:
        self._tiles: LRUCache[tuple[int, int], TileResult] = LRUCache(
            max_bytes, getsizeof=lambda kept: kept.sr.nbytes
        )
        self._uses: dict[tuple[int, int], int] = {}

    def keep(self, finished: TileResult, uses: int) -> None:
        """Remember a tile that so many other blocks will need."""
        index = finished.tile.index
        if uses > 0 and finished.sr.nbytes <= self._tiles.maxsize:
            self._tiles[index] = finished
            self._uses[index] = uses
            if len(self._uses) > 2 * len(self._tiles):  # those of tiles that had to go
                self._uses = {key: self._uses[key] for key in self._tiles}

    def take(self, index: tuple[int, int]) -> TileResult | None:
        """A tile, if it is here; dropped with its last use."""
        kept: TileResult | None = self._tiles.get(index)
        if kept is None:
            return None
        self._uses[index] -= 1
        if self._uses[index] <= 0:
            del self._tiles[index], self._uses[index]
        return kept


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


def for_workers(blocks: Sequence[Block], workers: int) -> list[Block]:
    """The blocks in an order that gives neighbours to each of several workers that take turns.

    A worker keeps the tiles between its blocks; those between two workers' are computed by both.
    Workers that are not equally fast, or join later, get neighbours less often.

    >>> blocks = [Block((column, 0), 0, 0, 1, 1) for column in range(5)]
    >>> [block.place[0] for block in for_workers(blocks, 2)]
    [0, 3, 1, 4, 2]
    """
    share, longer = divmod(len(blocks), workers)
    ends = [number * share + min(number, longer) for number in range(workers + 1)]
    parts = (blocks[begin:end] for begin, end in itertools.pairwise(ends))
    turns = itertools.zip_longest(*parts)
    return [block for turn in turns for block in turn if block is not None]


def lay_out(plan: Plan, side: int) -> Layout:
    """Blocks of a plan's output, strips as wide as the memory for the tiles between them allows."""
    width, height = plan.lattice.tile_size
    tile_bytes = 3 * width * height * plan.scale**2
    # A border can lie in the ramp between two rows of tiles, and both are kept then.
    tiles = BUDGET // (2 * tile_bytes)
    across = tiles * plan.lattice.grid.step_x * plan.scale
    return Layout(plan.output_size, side, max(1, across // side - 1))


@dataclass(frozen=True)
class PartLattice(Lattice):
    """A rectangle of a lattice, with tiles of the whole.

    Origin and phase are the whole's own numbers: computed anew from a region they could differ in
    their last digit, and with them the pixels.
    """

    whole: Lattice | None = None
    first: tuple[int, int] = (0, 0)
    """Column and row of its first pixel, lattice pixels from the whole's first."""
    count: Size = field(default=Size(1, 1))
    """Lattice pixels."""
    chosen: tuple[Tile, ...] | None = None
    """Of its tiles only these, where they are given."""

    @property
    def _of(self) -> Lattice:
        assert self.whole is not None
        return self.whole

    @cached_property
    def origin(self) -> tuple[int, int]:
        """Column and row of the part's first lattice pixel."""
        column, row = self._of.origin
        return column + self.first[0], row + self.first[1]

    @cached_property
    def phase(self) -> tuple[float, float]:
        """That of the whole."""
        return self._of.phase

    @property
    def size(self) -> Size:
        """Lattice pixels that cover the part."""
        return self.count

    def tiles(self) -> tuple[Tile, ...]:
        """Every tile of the whole that touches the part, or those that were chosen."""
        return super().tiles() if self.chosen is None else self.chosen


def cut(plan: Plan, block: Block) -> Plan:
    """The plan of one block; its left and upper edges lie between LR pixels."""
    downsample, scale = plan.output_downsample, plan.scale
    region = Region(
        plan.region.x + block.x * downsample,
        plan.region.y + block.y * downsample,
        block.width * downsample,
        block.height * downsample,
    )
    lattice = PartLattice(
        **{f.name: getattr(plan.lattice, f.name) for f in dataclasses.fields(plan.lattice)}
        | {"region": region},
        whole=plan.lattice,
        first=(block.x // scale, block.y // scale),
        count=Size(-(-block.width // scale), -(-block.height // scale)),
    )
    return dataclasses.replace(plan, region=region, lattice=lattice)


def only(part: Plan, tiles: tuple[Tile, ...]) -> Plan:
    """The same part with no other tiles to compute."""
    lattice = part.lattice
    assert isinstance(lattice, PartLattice)
    return dataclasses.replace(part, lattice=dataclasses.replace(lattice, chosen=tiles))


def owns(part: Plan, tile: Tile) -> bool:
    """Whether a tile of a part begins in it, or before the whole where the part does.

    Each tile of the whole is owned by one part.
    """
    return all(_begins(part, span, axis) for axis, span in enumerate((tile.columns, tile.rows)))


def owned(part: Plan) -> int:
    """How many tiles a part owns."""
    lattice = part.lattice
    assert isinstance(lattice, PartLattice)
    counts = []
    for axis, side in enumerate(lattice.slide_size):
        spans = lattice._spans(lattice.origin[axis], lattice.count[axis], side, axis)
        counts.append(sum(_begins(part, span, axis) for span in spans))
    return counts[0] * counts[1]


def _begins(part: Plan, span: Span, axis: int) -> bool:
    lattice = part.lattice
    assert isinstance(lattice, PartLattice)
    return lattice.first[axis] == 0 or span.start >= lattice.origin[axis]


_MARGIN = 4
"""LR pixels around a block, so that bicubic enlargement knows its neighbourhood."""


_Sum = Annotated[int, Field(ge=0, lt=2**63)]


@dataclass(frozen=True, slots=True)
class SquaredErrors:
    """Sums over the samples of a block that count."""

    samples: _Sum
    model: _Sum
    bicubic: _Sum
    reference: _Sum | None
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
