"""Training and validation split by place, with a guard band between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.geometry import Region
from napari_cwtnet.training.recipe import Box, SlideSource


@dataclass(frozen=True, slots=True)
class Split:
    """Training and held-out regions of a slide, level-0 pixels."""

    training: tuple[Region, ...]
    held_out: tuple[Region, ...]
    guard: float
    """Least distance between the two along x or y, level-0 pixels."""


def split_by_place(source: SlideSource, name: str, bounds: Region, guard: float) -> Split:
    """Split a slide as its source specifies.

    Parameters
    ----------
    source : SlideSource
        Regions, held-out regions or share.
    name : str
        Name of the slide, for messages.
    bounds : Region
        The whole slide.
    guard : float
        Width of the guard band, level-0 pixels.

    Raises
    ------
    TrainingError
        If a region lies outside the slide, or a training and a held-out region are closer than
        the guard band.
    """
    regions = _inside(source.regions, name, bounds) or [bounds]
    held_out = _inside(source.held_out, name, bounds)
    if source.regions:
        refuse_near(name, regions, held_out, guard)
    if not source.held_out and source.held_out_share > 0:
        held_out = [_right_part(region, source.held_out_share) for region in regions]
    training = regions
    for kept in held_out:
        hole = grown(kept, guard)
        training = [part for region in training for part in subtract(region, hole)]
    return Split(tuple(training), tuple(held_out), guard)


def refuse_near(
    name: str, training: Iterable[Region], held_out: Sequence[Region], guard: float
) -> None:
    """Raise :class:`TrainingError` where training pixels lie within the guard band."""
    for region in training:
        for kept in held_out:
            if region.intersection(grown(kept, guard)) is None:
                continue
            near = "overlap" if region.intersection(kept) else "are closer than the guard band"
            raise TrainingError(
                f"Slide {name!r}: region {region} is trained on and region {kept} is held out, "
                f"but they {near}; keep {guard:g} level-0 pixels between them."
            )


def grown(region: Region, margin: float) -> Region:
    """The region with a margin on all four sides."""
    return Region(
        region.x - margin,
        region.y - margin,
        region.width + 2 * margin,
        region.height + 2 * margin,
    )


def subtract(region: Region, hole: Region) -> list[Region]:
    """A region minus a hole: none to four regions that do not overlap.

    >>> [str(part) for part in subtract(Region(0, 0, 9, 9), Region(6, 3, 9, 9))]
    ['0,0,6,9', '6,0,3,3']
    """
    cut = region.intersection(hole)
    if cut is None:
        return [region]
    left, right = cut.x - region.x, region.right - cut.right
    above, below = cut.y - region.y, region.bottom - cut.bottom
    parts = (
        (region.x, region.y, left, region.height),
        (cut.right, region.y, right, region.height),
        (cut.x, region.y, cut.width, above),
        (cut.x, cut.bottom, cut.width, below),
    )
    return [Region(*part) for part in parts if part[2] > 0 and part[3] > 0]


def _right_part(region: Region, share: float) -> Region:
    width = region.width * share
    return Region(region.right - width, region.y, width, region.height)


def _inside(boxes: Iterable[Box], name: str, bounds: Region) -> list[Region]:
    regions = []
    for box in boxes:
        region = Region(*box).intersection(bounds)
        if region is None:
            raise TrainingError(
                f"Region {Region(*box)} is outside slide {name!r} of {bounds.width:g} × "
                f"{bounds.height:g} pixels; give regions inside it."
            )
        regions.append(region)
    return regions
