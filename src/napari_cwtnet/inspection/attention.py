"""How sure each block is of its matches, and how far away they lie (Eq. 8)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.enhancement import Plan
from napari_cwtnet.errors import RequestError
from napari_cwtnet.inspection.field import Field
from napari_cwtnet.model import NetworkConfig

DISTANCES = (0, 1, 4, 16)
"""LR pixels within which matches are counted."""

Floats = NDArray[np.float32]


def check_block(field: Field, block: int | None) -> None:
    """Refuse a block that the model does not have; None is all of them.

    Raises
    ------
    RequestError
        If there is no such block, or no attention at all.
    """
    if field.blocks == 0:
        raise RequestError(no_attention(field.plan, field.config))
    if block is not None and not 1 <= block <= field.blocks:
        raise RequestError(
            f"Block {block} does not exist; model {field.plan.model_name!r} has blocks 1 to "
            f"{field.blocks}."
        )


def no_attention(plan: Plan, config: NetworkConfig) -> str:
    """Why there is none, and what can be looked at instead; empty where there is one."""
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

    Times ``field.plan.downsample`` it is in level-0 pixels.
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
    """The shares in words; where there is nothing to count, why."""
    if not field.blocks:
        return no_attention(field.plan, field.config)
    shares = matches_within(field, block)
    if field.aligned:
        return (
            "This model looks only at the same place: h(i) = i by construction, so that every "
            "displacement is 0."
        )
    within = ", ".join(
        f"{share:.1%} within {limit} px" if limit else f"{share:.1%} at the same place"
        for limit, share in shares.items()
    )
    who = f"Block {block}" if block is not None else f"All {field.blocks} blocks"
    return f"{who}: {within} (LR pixels)."
