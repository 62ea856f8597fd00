"""Attention of each block: how sure, where the matches lie (Eq. 8), and one query's relevances."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_cwtnet.enhancement import Engine, Plan
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection.field import Field, Floats, Part, check_model
from napari_cwtnet.model import NetworkConfig
from napari_cwtnet.model.best_match import patch_norms

DISTANCES = (0, 1, 4, 16)
"""Distances, LR pixels, within which matches are counted."""


def check_block(field: Field, block: int | None) -> None:
    """Refuse a block that the model does not have; None is all of them.

    Raises
    ------
    RequestError
        If the block does not exist, or the model has no attention.
    """
    if field.blocks == 0:
        raise RequestError(no_attention(field.plan, field.config))
    if block is not None and not 1 <= block <= field.blocks:
        raise RequestError(
            f"Block {block} does not exist; model {field.plan.model_name!r} has blocks 1 to "
            f"{field.blocks}."
        )


def no_attention(plan: Plan, config: NetworkConfig) -> str:
    """Why there is no attention, and what to look at instead; empty where there is some."""
    if config.attends(with_reference=plan.with_reference):
        return ""
    without = " without a reference" if config.wt_branch else ""
    return (
        f"Model {plan.model_name!r} has no attention{without}: its SR branch works alone; look at "
        "the sub-bands and the trust maps."
    )


def attention(field: Field, block: int | None = None) -> Floats:
    """S of a block, counted from 1, or its mean over all: ``(h, w)``, cosine in -1..1."""
    check_block(field, block)
    if block is None:
        return np.asarray(field.relevance.mean(0), np.float32)
    return np.asarray(field.relevance[block - 1])


def displacement(field: Field, block: int) -> NDArray[np.int16]:
    """From each LR pixel to its match, ``(h, w, 2)``: down and to the right, LR pixels.

    Multiply by ``field.plan.downsample`` for level-0 pixels.
    """
    check_block(field, block)
    return np.asarray(field.displacement[block - 1])


def matches_within(field: Field, block: int | None = None) -> dict[int, float]:
    """Shares 0..1 of the matches that lie within 0, 1, 4 and 16 LR pixels of their query."""
    check_block(field, block)
    steps = field.displacement if block is None else field.displacement[block - 1]
    distance = np.hypot(steps[..., 0].astype(np.float32), steps[..., 1])
    return {limit: float(np.mean(distance <= limit)) for limit in DISTANCES}


def matches_sentence(field: Field, block: int | None = None) -> str:
    """The shares in words, or why there are none."""
    if not field.blocks:
        return no_attention(field.plan, field.config)
    shares = matches_within(field, block)
    if field.aligned:
        return "This model compares only the same place, so every displacement is 0."
    within = ", ".join(
        f"{share:.1%} within {limit} px" if limit else f"{share:.1%} at the same place"
        for limit, share in shares.items()
    )
    who = f"Block {block}" if block is not None else f"All {field.blocks} blocks"
    return f"{who}: {within} (LR pixels)."


_PATCH = 3


@dataclass(frozen=True, slots=True)
class Patch:
    """A 3 × 3 patch of LR pixels and how alike it is to the query."""

    box: Region
    """Level-0 pixels."""
    relevance: float


@dataclass(frozen=True, slots=True)
class Probe:
    """The relevances r(i, ·) of one query i, over the tile that computed it."""

    block: int
    """Counted from 1."""
    asked: tuple[float, float]
    """The place x, y that was asked, level-0 pixels."""
    query: Region
    """The 3 × 3 patch around the queried LR pixel, level-0 pixels."""
    relevance: Floats
    """``(h, w)`` on the LR grid, cosine in -1..1; the whole tile with its halo."""
    region: Region
    """The region of ``relevance``, level-0 pixels."""
    best: tuple[Patch, ...]
    """Patches of highest relevance, best first; they do not overlap."""
    match: Patch
    """The patch that the network used: the place h points at."""
    rank: int
    """Rank of the match among the patches of the tile, from 1."""
    aligned: bool = False
    """Whether the network compares only the same place, whatever is more alike."""

    @property
    def sentence(self) -> str:
        """The result in plain words."""
        count = self.relevance.size
        if self.aligned:
            here = (
                f"Block {self.block}: this model compares only the same place, of relevance "
                f"{self.match.relevance:.3f}"
            )
            if self.rank == 1:
                return f"{here}, which no other of {count:,} patches exceeds."
            return (
                f"{here}. More alike: {self.rank - 1:,} of {count:,} patches, up to "
                f"{self.best[0].relevance:.3f}; it does not use them."
            )
        return (
            f"Block {self.block}: the network used the patch of relevance "
            f"{self.match.relevance:.3f}, number {self.rank:,} of {count:,} by likeness; the most "
            f"alike has {self.best[0].relevance:.3f}."
        )


def relevance_of(query: Tensor, key: Tensor, row: int, column: int) -> Floats:
    """r(i, ·) of Eq. 8 for the one query at (row, column).

    Parameters
    ----------
    query, key : Tensor
        Q and K, ``(1, C, h, w)``.
    row, column : int
        The query's pixel.

    Returns
    -------
    ndarray
        ``(h, w)``: cosine of the query's 3 × 3 patch and every patch of K, zero outside the tile.
    """
    patch = F.pad(query, (1, 1, 1, 1))[..., row : row + _PATCH, column : column + _PATCH]
    products = F.conv2d(key, patch, padding=1)
    norm = patch_norms(query)[..., row, column]
    cosine = products / (patch_norms(key) * norm)
    return np.ascontiguousarray(cosine[0, 0].float().cpu().numpy())


@torch.inference_mode()
def probe(
    field: Field, engine: Engine, x: float, y: float, *, block: int = 1, count: int = 5
) -> Probe:
    """The relevances of one query of a block, without holding the N×N matrix.

    Runs the tile again, with the same result as when the field was captured.

    Parameters
    ----------
    field : Field
        Captured by the same engine's model.
    engine : Engine
        The model on its device.
    x, y : float
        A place in the field, level-0 pixels.
    block : int
        Counted from 1.
    count : int
        How many patches, at least 1.

    Raises
    ------
    RequestError
        If the place is outside the field, the block does not exist, or the engine has another
        model.
    """
    check_block(field, block)
    check_model(field, engine)
    part, row, column = _asked(field, x, y)
    record = engine.infer(part.lr, part.reference, part.known, record=True).blocks[block - 1]
    relevance = relevance_of(record.query, record.key, row, column)
    match = divmod(int(record.index[0, row, column]), relevance.shape[1])
    box = _Boxes(field, part)
    taken = float(relevance[match])
    return Probe(
        block=block,
        asked=(x, y),
        query=box.around(row, column),
        relevance=relevance,
        region=part.tile.read,
        best=tuple(
            Patch(box.around(*place), float(relevance[place]))
            for place in best_places(relevance, max(1, count))
        ),
        match=Patch(box.around(*match), taken),
        rank=1 + int(np.count_nonzero(relevance > taken)),
        aligned=field.aligned,
    )


def best_places(relevance: Floats, count: int) -> list[tuple[int, int]]:
    """Rows and columns of the highest values whose 3 × 3 patches do not overlap, highest first."""
    left = relevance.copy()
    places: list[tuple[int, int]] = []
    while len(places) < count and np.isfinite(left.max()):
        row, column = (int(i) for i in np.unravel_index(int(left.argmax()), left.shape))
        places.append((row, column))
        near = slice(max(0, row - 2), row + 3), slice(max(0, column - 2), column + 3)
        left[near] = -math.inf
    return places


def check_place(field: Region, x: float, y: float) -> None:
    """Raise :class:`RequestError` for a place outside a field, or not a number; level-0 pixels."""
    if not (field.x <= x < field.right and field.y <= y < field.bottom):
        raise RequestError(
            f"Place {x:g},{y:g} is outside the field {field}; give X,Y in level-0 pixels inside it."
        )


@dataclass(frozen=True, slots=True)
class _Boxes:
    field: Field
    part: Part

    def around(self, row: int, column: int) -> Region:
        """The patch around a pixel of the tile, in level-0 pixels."""
        d, read = self.field.plan.downsample, self.part.tile.read
        return Region(read.x + (column - 1) * d, read.y + (row - 1) * d, _PATCH * d, _PATCH * d)


def _asked(field: Field, x: float, y: float) -> tuple[Part, int, int]:
    """The tile that owns a place, and the place's row and column in it."""
    check_place(field.plan.region, x, y)
    region, d = field.plan.region, field.plan.downsample
    height, width = field.lr.shape[:2]
    # A place just inside the edge may be rounded onto it.
    column = min(math.floor((x - region.x) / d), width - 1)
    row = min(math.floor((y - region.y) / d), height - 1)
    part = next(one for one in field.parts if one.place.owns(row, column))
    place = part.place
    return (
        part,
        row - place.rows.start + place.tile_rows.start,
        column - place.columns.start + place.tile_columns.start,
    )
