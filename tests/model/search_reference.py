"""Searches, relevance and transfer as plain loops: what the quick ones are held to by tests.

One displacement or one neighbour at a time, in the order in which one would write it down; nothing
else calls them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_cwtnet.model.best_match import identity_index, patch_norms, patch_sums

_CHUNK_ENTRIES = 1 << 22


@torch.no_grad()
def search_full(query: Tensor, key: Tensor) -> Tensor:
    """Best match over the whole field, exactly; queries pass by in chunks.

    Parameters
    ----------
    query, key : Tensor
        ``(N, C, H, W)``.

    Returns
    -------
    Tensor
        ``(N, H, W)`` int64; the lowest index wins a tie.
    """
    n, _, height, width = query.shape
    found = torch.empty((n, height * width), dtype=torch.int64, device=query.device)
    step = max(1, _CHUNK_ENTRIES // (height * width))
    for sample in range(n):
        # The norm of the query's patch is the same for every j and cannot change the argmax.
        queries = F.unfold(query[sample : sample + 1], 3, padding=1)[0].T
        keys = F.normalize(F.unfold(key[sample : sample + 1], 3, padding=1)[0], dim=0)
        for start in range(0, height * width, step):
            found[sample, start : start + step] = (queries[start : start + step] @ keys).argmax(1)
    return found.view(n, height, width)


@torch.no_grad()
def search_window(query: Tensor, key: Tensor, radius: int, position_bias: float = 0.0) -> Tensor:
    """Best match among displacements of at most ``radius`` pixels along each axis, exactly.

    The cosine of 3×3 patches at a fixed displacement is a 3×3 box sum of plain dot products, so
    no patch is ever unfolded. ``position_bias`` is taken off the relevance per pixel of distance.

    Returns
    -------
    Tensor
        ``(N, H, W)`` int64.
    """
    _, _, height, width = query.shape
    query_norms, key_norms = patch_norms(query), patch_norms(key)
    best = torch.full_like(query_norms, -torch.inf)
    found = identity_index(query).unsqueeze(1).clone()
    rows, columns = min(radius, height - 1), min(radius, width - 1)
    for dy in range(-rows, rows + 1):
        for dx in range(-columns, columns + 1):
            here = (slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx)))
            there = (slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx)))
            products = (query[(..., *here)] * key[(..., *there)]).sum(1, keepdim=True)
            relevance = patch_sums(products) / (
                query_norms[(..., *here)] * key_norms[(..., *there)]
            )
            relevance -= position_bias * (dy * dy + dx * dx) ** 0.5
            better = relevance > best[(..., *here)]
            best[(..., *here)] = torch.where(better, relevance, best[(..., *here)])
            target = identity_index(query).unsqueeze(1)[(..., *there)]
            found[(..., *here)] = torch.where(better, target, found[(..., *here)])
    return found[:, 0]


def _gather(features: Tensor, index: Tensor, dy: int, dx: int) -> Tensor:
    """``features`` at ``index`` displaced by (dy, dx), zero outside the field: ``(N, C, H, W)``."""
    n, channels, height, width = features.shape
    shifted = F.pad(features, (1, 1, 1, 1))[
        ..., 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width
    ].flatten(2)
    return shifted.gather(2, index.reshape(n, 1, -1).expand(-1, channels, -1)).view_as(features)


def _patch_offsets() -> list[tuple[int, int]]:
    return [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]


def relevance_at(query: Tensor, key: Tensor, index: Tensor | None) -> Tensor:
    """The attention map S (Eq. 8): cosine of each query patch and its match, differentiably.

    Parameters
    ----------
    query, key : Tensor
        ``(N, C, H, W)``.
    index : Tensor or None
        ``(N, H, W)`` as a search gives it; None for h(i) = i.

    Returns
    -------
    Tensor
        ``(N, 1, H, W)`` in -1..1.
    """
    key_norms = patch_norms(key)
    if index is None:
        products = patch_sums((query * key).sum(1, keepdim=True))
        return products / (patch_norms(query) * key_norms)
    products = torch.zeros_like(key_norms)
    height, width = query.shape[-2:]
    padded = F.pad(query, (1, 1, 1, 1))
    for dy, dx in _patch_offsets():
        near = padded[..., 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        products = products + (near * _gather(key, index, dy, dx)).sum(1, keepdim=True)
    return products / (patch_norms(query) * _gather(key_norms, index, 0, 0))


def transfer(value: Tensor, index: Tensor | None, normalisation: str = "nine") -> Tensor:
    """The texture T: every patch of V moves to where it matched, overlaps are averaged.

    Equals ``fold(gather(unfold(V), h)) / 9`` (TTSR); with ``normalisation="count"`` the divisor is
    the number of patches that cover the pixel, which keeps T as bright at the border as inside.

    Returns
    -------
    Tensor
        ``(N, C, H, W)``.
    """
    ones = value.new_ones((1, 1, *value.shape[-2:]))
    count = patch_sums(ones)
    if index is None:
        return value if normalisation == "count" else value * (count / 9)
    height, width = value.shape[-2:]
    total = torch.zeros_like(value)
    for dy, dx in _patch_offsets():
        moved = F.pad(_gather(value, index, dy, dx), (1, 1, 1, 1))
        total = total + moved[..., 1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
    return total / (count if normalisation == "count" else 9)
