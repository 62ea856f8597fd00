"""Where in K does each patch of Q find its like? Hard attention after Eq. 8.

Patches are 3×3 with zero padding and stride 1; the relevance ``r(i, j)`` is the cosine of patch i
of Q and patch j of K. A search gives, for each i, the index of its match; nothing here ever holds
the N×N matrix. Indices count pixels row by row on the LR grid and carry no gradient.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_cwtnet.model.best_match import (
    Match,
    best_matches,
    padded_rows,
    patch_norms,
    patch_sums,
    widened,
)
from napari_cwtnet.model.config import NetworkConfig

_OFFSETS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]


def relevance_at(query: Tensor, key: Tensor, index: Tensor | None) -> Tensor:
    """The attention map S (Eq. 8): cosine of each query patch and its match, differentiably.

    Parameters
    ----------
    query, key : Tensor
        ``(N, C, H, W)``; sums are in float32 at least.
    index : Tensor or None
        ``(N, H, W)`` from a search; None for h(i) = i.

    Returns
    -------
    Tensor
        ``(N, 1, H, W)`` in -1..1, of the query's dtype.
    """
    query_norms, key_norms = patch_norms(query), patch_norms(key)
    q, k = widened(query), widened(key)
    if index is None:
        products = patch_sums((q * k).sum(1, keepdim=True))
    else:
        products = _products_at(q, k, index)[:, None]
        key_norms = key_norms.flatten(1).gather(1, index.flatten(1)).view_as(key_norms)
    return (products / (query_norms * key_norms)).to(query.dtype)


def _products_at(query: Tensor, key: Tensor, index: Tensor) -> Tensor:
    """Dot product of each query patch with the key patch at its index: ``(N, H, W)``."""
    height, width = query.shape[-2:]
    queries, keys = padded_rows(query, 1), padded_rows(key, 1).flatten(0, 2)
    places = _padded_places(index)
    total = torch.zeros_like(places, dtype=query.dtype)
    for dy, dx in _OFFSETS:
        near = queries[:, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        far = keys.index_select(0, (places + (dy * (width + 2) + dx)).flatten())
        total = total + (near * far.view_as(near)).sum(-1)
    return total


def transfer(value: Tensor, index: Tensor | None, normalisation: str = "nine") -> Tensor:
    """The texture T: every patch of V moves to where it matched, overlaps are averaged.

    Equals ``fold(gather(unfold(V), h)) / 9`` (TTSR); with ``normalisation="count"`` the divisor is
    the number of patches that cover the pixel, which keeps T as bright at the border as inside.
    Seen from the pixel it is a sum of nine rows of a table, which is what an embedding bag gives.

    Returns
    -------
    Tensor
        ``(N, C, H, W)``, of the value's dtype.
    """
    n, channels, height, width = value.shape
    count = patch_sums(torch.ones((1, 1, height, width), device=value.device)).to(value.dtype)
    if index is None:
        return value if normalisation == "count" else value * (count / 9)
    table = padded_rows(value, 1).view(-1, channels)
    bags = _bags(_padded_places(index), width + 2)
    total = F.embedding_bag(bags.view(-1, 9), table, mode="sum")
    total = total.view(n, height, width, channels).permute(0, 3, 1, 2)
    return total / (count if normalisation == "count" else 9)


def _padded_places(index: Tensor) -> Tensor:
    """An index map ``(N, H, W)`` as rows of a table of all samples' pixels, borders included."""
    n, height, width = index.shape
    sample = torch.arange(n, device=index.device).view(n, 1, 1) * ((height + 2) * (width + 2))
    return sample + (index // width + 1) * (width + 2) + index % width + 1


def _bags(places: Tensor, stride: int) -> Tensor:
    """Which rows add up to each pixel: ``(N, H, W, 9)``.

    The neighbour at (-e, -f) brings the pixel at (e, f) of its match. Neighbours beyond the border
    bring row 0, a corner of the border, which is zero.
    """
    n, height, width = places.shape
    # So far below zero that adding an offset leaves it there.
    around = F.pad(places, (1, 1, 1, 1), value=-stride - 1)
    near = around.unfold(1, 3, 1).unfold(2, 3, 1).reshape(n, height, width, 9)
    steps = [-dy * stride - dx for dy, dx in _OFFSETS]
    return (near + torch.tensor(steps, device=places.device)).clamp_min(0)


def search(query: Tensor, key: Tensor, config: NetworkConfig) -> Match | None:
    """The matches by ``config.search``; None stands for h(i) = i (``aligned``)."""
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
        S, ``(N, 1, H, W)`` in -1..1, of the query's dtype; differentiable if gradients are
        needed, else the values from the search.
    """
    match = search(query, key, config)
    index = None if match is None else match.index
    wanted = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad)
    if match is None or wanted:
        return index, relevance_at(query, key, index)
    return index, match.relevance.to(query.dtype)
