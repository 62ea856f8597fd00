"""Where in K does each patch of Q find its like? Hard attention after Eq. 8.

Patches are 3×3 with zero padding and stride 1; the relevance ``r(i, j)`` is the cosine of patch i
of Q and patch j of K. A search gives, for each i, the index of its match; nothing here ever holds
the N×N matrix. Indices count pixels row by row on the LR grid and carry no gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cwtnet.model.config import NetworkConfig
from napari_cwtnet.model.search_patches import identity_index, patch_norms, patch_sums
from napari_cwtnet.model.search_sweep import Match, best_matches
from napari_cwtnet.model.search_transfer import relevance_at, transfer

__all__ = [
    "attention",
    "identity_index",
    "patch_norms",
    "patch_sums",
    "relevance_at",
    "search",
    "search_full",
    "search_window",
    "transfer",
]


def search_full(query: Tensor, key: Tensor) -> Tensor:
    """Best match over the whole field, exactly.

    Parameters
    ----------
    query, key : Tensor
        ``(N, C, H, W)``.

    Returns
    -------
    Tensor
        ``(N, H, W)`` int64; the lowest index wins a tie.
    """
    return best_matches(query, key).index


def search_window(query: Tensor, key: Tensor, radius: int, position_bias: float = 0.0) -> Tensor:
    """Best match among displacements of at most ``radius`` pixels along each axis, exactly.

    ``position_bias`` is taken off the relevance per pixel of distance.

    Returns
    -------
    Tensor
        ``(N, H, W)`` int64; the lowest index wins a tie.
    """
    return best_matches(query, key, radius, position_bias).index


def search(query: Tensor, key: Tensor, config: NetworkConfig) -> Match | None:
    """The match that ``config.search`` asks for; None stands for h(i) = i (``aligned``)."""
    if config.search == "aligned":
        return None
    if config.search == "window":
        return best_matches(query, key, config.window_radius, config.position_bias)
    return best_matches(query, key)


def attention(query: Tensor, key: Tensor, config: NetworkConfig) -> tuple[Tensor | None, Tensor]:
    """Index map and attention map of a block.

    Returns
    -------
    index : Tensor or None
        h, ``(N, H, W)`` int64; None stands for h(i) = i.
    relevance : Tensor
        S, ``(N, 1, H, W)`` in -1..1, of the query's dtype; differentiable where gradients are
        wanted, else what the search saw on its way.
    """
    match = search(query, key, config)
    index = None if match is None else match.index
    wanted = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad)
    if match is None or wanted:
        return index, relevance_at(query, key, index)
    return index, match.relevance.to(query.dtype)
