"""The search itself: every displacement row in turn, several query rows at once.

The product of two 3×3 patches is a 3×3 sum of products of single pixels along the diagonal
``(y + e, x + f) · (y' + e, x' + f)``. So one needs no unfolded patches, and a ninth of their
multiplications: for one displacement ``dy``, a small matrix product per query row gives the dot
product of each of its pixels with each pixel of key row ``y + dy``; three shifted additions sum
along x, three more over rows. What is held at a time fits into a processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from napari_cwtnet.model.search_buffers import Buffers
from napari_cwtnet.model.search_patches import padded_rows, patch_norms, widened

# Query columns that share a window's keys: few waste few products, many make better matrices.
_STRIP = {"cpu": 16}
_STRIP_ELSEWHERE = 64
# Where a shape that depends on values costs no waiting.
_SYNCHRONOUS = {"cpu"}


@dataclass(frozen=True, slots=True)
class Match:
    """Where the best match of each patch is, and how alike it is."""

    index: Tensor
    """``(N, H, W)`` int64, row-major position; the lowest one wins a tie."""
    relevance: Tensor
    """``(N, 1, H, W)`` cosine there, in float32 at least."""


@torch.no_grad()
def best_matches(
    query: Tensor, key: Tensor, radius: int | None = None, position_bias: float = 0.0
) -> Match:
    """Best match of each 3×3 patch of ``query`` in ``key``, exactly.

    Exact but for rounding: of places as good within a few float32 units, any may be found.

    Parameters
    ----------
    query, key : Tensor
        ``(N, C, H, W)``; sums are in float32 at least.
    radius : int, optional
        Largest displacement along each axis, pixels; without it the whole field is searched.
    position_bias : float
        Taken off the relevance per pixel of distance, while searching.
    """
    height, width = query.shape[-2:]
    reach = max(height, width) if radius is None else radius
    sweep = _Sweep.over(query, key, reach, position_bias)
    strip = _STRIP.get(query.device.type, _STRIP_ELSEWHERE)
    if strip + 2 * reach >= width:
        strip = width
    for left in range(0, width, strip):
        sweep.strip(left, min(left + strip, width))
    return sweep.match()


@dataclass(frozen=True, slots=True)
class _Sweep:
    """Queries, keys, and the best match so far."""

    queries: Tensor  # (N, H, W + 2, C)
    keys: Tensor  # the same
    query_norms: Tensor  # (N, H, W, 1)
    key_scales: Tensor  # (N, H, 1, W), one over the norms
    best: Tensor  # (N, H, W), relevance times the query's norm, less the bias
    found: Tensor  # (N, H, W)
    reach: int
    bias: float

    @classmethod
    def over(cls, query: Tensor, key: Tensor, reach: int, bias: float) -> _Sweep:
        n, _, height, width = query.shape
        queries, keys = padded_rows(widened(query)), padded_rows(widened(key))
        return cls(
            queries,
            keys,
            patch_norms(query)[:, 0, :, :, None],
            patch_norms(key)[:, 0, :, None, :].reciprocal(),
            queries.new_full((n, height, width), -torch.inf),
            torch.zeros((n, height, width), dtype=torch.int64, device=query.device),
            reach,
            bias,
        )

    def match(self) -> Match:
        """What was found."""
        height, width = self.best.shape[1:]
        relevance = self.best / self.query_norms[..., 0]
        if self.bias:
            rows = torch.arange(height, device=self.found.device)[:, None]
            columns = torch.arange(width, device=self.found.device)
            away = torch.hypot(
                (self.found // width - rows).to(relevance.dtype),
                (self.found % width - columns).to(relevance.dtype),
            )
            relevance += self.bias * away
        return Match(self.found, relevance[:, None])

    def strip(self, left: int, right: int) -> None:
        """Search for the queries of columns ``left`` to ``right``."""
        height, width = self.best.shape[1:]
        keys = slice(max(0, left - self.reach), min(width, right + self.reach))
        columns = torch.arange(width, device=self.best.device, dtype=self.best.dtype)
        dx = columns[keys] - columns[left:right, None]
        bounded = bool(self.bias) or max(right - keys.start, keys.stop - left) > self.reach + 1
        buffers = Buffers.like(self.queries, right - left, keys.stop - keys.start)
        reach = min(self.reach, height - 1)
        for dy in range(-reach, reach + 1):
            offset = self._offset(dx, dy) if bounded else None
            for rows in _even(max(0, -dy), height - max(0, dy), buffers.rows):
                relevance = self._relevance(slice(left, right), keys, dy, rows, buffers)
                here = (slice(None), rows, slice(left, right))
                if offset is not None:
                    # The best are kept times the query's norm, and so is what is taken off.
                    relevance.addcmul_(offset, self.query_norms[here])
                first = torch.arange(rows.start, rows.stop, device=self.found.device)
                first = ((first + dy) * width + keys.start)[:, None]
                _improve(self.best[here], self.found[here], relevance, first)

    def _offset(self, dx: Tensor, dy: int) -> Tensor:
        away = self.bias * (dx * dx + dy * dy).sqrt()
        return torch.where(dx.abs() > self.reach, -torch.inf, -away)

    def _relevance(
        self, queries: slice, keys: slice, dy: int, rows: slice, buffers: Buffers
    ) -> Tensor:
        """Relevance times the query's norm: ``(N, rows, queries, keys)``, for key row y + dy."""
        n, height = self.best.shape[:2]
        top, bottom = rows.start, rows.stop
        first, last = max(top - 1, 0, -dy), min(bottom + 1, height, height - dy)
        near = self.queries[:, first:last, queries.start : queries.stop + 2].flatten(0, 1)
        far = self.keys[:, first + dy : last + dy, keys.start : keys.stop + 2].flatten(0, 1)
        products = buffers.products(n * (last - first))
        torch.bmm(near, far.transpose(1, 2), out=products)
        products = products.view(n, last - first, *products.shape[1:])
        along_x = buffers.along_x(bottom - top + 2)
        # Rows that are not there count nothing.
        along_x[:, : first - top + 1].zero_()
        along_x[:, last - top + 1 :].zero_()
        inside = along_x[:, first - top + 1 : last - top + 1]
        torch.add(products[..., :-2, :-2], products[..., 1:-1, 1:-1], out=inside)
        inside += products[..., 2:, 2:]
        sums = buffers.sums(bottom - top)
        torch.add(along_x[:, :-2], along_x[:, 1:-1], out=sums)
        sums += along_x[:, 2:]
        sums *= self.key_scales[:, top + dy : bottom + dy, :, keys]
        return sums


def _even(first: int, last: int, most: int) -> Iterator[slice]:
    """Rows ``first`` to ``last`` in parts of about the same size, none of more than ``most``."""
    parts = -(-(last - first) // most)
    edges = [first + (last - first) * part // parts for part in range(parts + 1)]
    return (slice(*pair) for pair in pairwise(edges))


def _improve(best: Tensor, found: Tensor, relevance: Tensor, first: Tensor) -> None:
    """Take over what is better than the best so far, in place.

    Parameters
    ----------
    best, found : Tensor
        ``(N, rows, queries)``.
    relevance : Tensor
        ``(N, rows, queries, keys)``.
    first : Tensor
        Index of the first key, ``(rows, 1)``.
    """
    if relevance.device.type not in _SYNCHRONOUS:
        most, column = relevance.max(-1)
        better = most > best
        best.copy_(torch.where(better, most, best))
        found.copy_(torch.where(better, first + column, found))
        return
    # On a processor amax is many times as fast as max or argmax, and few queries improve.
    most = relevance.amax(-1)
    places = (most > best).nonzero(as_tuple=True)
    best[places] = most[places]
    found[places] = first[places[1], 0] + relevance[places].argmax(-1)
