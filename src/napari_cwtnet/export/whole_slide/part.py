"""A part of a plan, on the very same tiles: what it gives is what the whole gives there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property

from napari_cwtnet.enhancement import Plan
from napari_cwtnet.enhancement.tiling import Lattice, Span, Tile
from napari_cwtnet.export.whole_slide.layout import Block
from napari_cwtnet.geometry import Region, Size


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
