"""The search itself: strips of query columns in turn, each by bands of displacement rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_cwtnet.model.search_buffers import Buffers
from napari_cwtnet.model.search_patches import padded_rows, patch_norms, widened
from napari_cwtnet.model.search_strip import Strip, even_parts

# Query columns that share a window's keys: few waste few products, many make better matrices.
_STRIP = {"cpu": 16}
_STRIP_ELSEWHERE = 64
# Key rows that meet a query row at once: more make larger matrices and fewer calls, but all of a
# band is computed, also where it reaches beyond the field. Where a strip is the whole width, it is
# keys that count: what wide rows have already, narrow ones have together.
_DEPTH = 20
_KEYS_AT_ONCE = {"cpu": 256}
_KEYS_AT_ONCE_ELSEWHERE = 4096
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
    strip = _STRIP.get(query.device.type, _STRIP_ELSEWHERE)
    width = query.shape[-1]
    reach = max(query.shape[-2:]) if radius is None else radius
    depth = _DEPTH
    if strip + 2 * reach >= width:
        strip = width
        depth = max(1, _KEYS_AT_ONCE.get(query.device.type, _KEYS_AT_ONCE_ELSEWHERE) // width)
    found = []
    for sample in range(len(query)):
        one = slice(sample, sample + 1)
        sweep = _Sweep.over(query[one], key[one], reach, position_bias, depth)
        for left in range(0, width, strip):
            sweep.strip(left, min(left + strip, width))
        found.append(sweep.match())
    return Match(
        torch.stack([match.index for match in found]),
        torch.stack([match.relevance for match in found]),
    )


@dataclass(frozen=True, slots=True)
class _Sweep:
    """Queries and keys of a sample, and the best match so far.

    Keys have ``depth`` rows more above and below, so that a band may reach beyond the field.
    """

    queries: Tensor  # (H, W + 2, C)
    keys: Tensor  # (H + 2 depth, W + 2, C)
    query_norms: Tensor  # (H, W)
    key_scales: Tensor  # (H + 2 depth, W), one over the norms
    absent: Tensor  # (H + 2 depth, 1): 0 in the field, -inf beyond
    best: Tensor  # (H, W), relevance times the query's norm, less the bias
    found: Tensor  # (H, W)
    reach: int
    bias: float
    depth: int

    @classmethod
    def over(cls, query: Tensor, key: Tensor, reach: int, bias: float, depth: int) -> _Sweep:
        beyond = (0, 0, depth, depth)
        queries, keys = padded_rows(widened(query))[0], padded_rows(widened(key), depth)[0]
        query_norms, key_norms = patch_norms(query)[0, 0], patch_norms(key)[0, 0]
        return cls(
            queries,
            keys,
            query_norms,
            F.pad(key_norms.reciprocal(), beyond),
            F.pad(torch.zeros_like(key_norms[:, :1]), beyond, value=-torch.inf),
            torch.full_like(query_norms, -torch.inf),
            torch.zeros_like(query_norms, dtype=torch.int64),
            reach,
            bias,
            depth,
        )

    def match(self) -> Match:
        """What was found, of this sample."""
        height, width = self.best.shape
        relevance = self.best / self.query_norms
        if self.bias:
            places = torch.arange(height * width, device=self.found.device).view(height, width)
            dy = self.found // width - places // width
            dx = self.found % width - places % width
            relevance += self.bias * torch.hypot(dy.to(relevance.dtype), dx.to(relevance.dtype))
        return Match(self.found, relevance[None])

    def strip(self, left: int, right: int) -> None:
        """Search for the queries of columns ``left`` to ``right``."""
        height, width = self.best.shape
        first, last = max(0, left - self.reach), min(width, right + self.reach)
        part = Strip(
            self.queries[:, left : right + 2],
            self.keys[:, first : last + 2].flatten(1).contiguous(),
            self.key_scales[:, first:last].contiguous(),
            self.absent,
            self.depth,
            Buffers.like(self.queries, right - left, self.depth, last - first),
        )
        columns = torch.arange(width, device=self.best.device, dtype=self.best.dtype)
        dx = columns[first:last] - columns[left:right, None]
        bounded = bool(self.bias) or max(right - first, last - left) > self.reach + 1
        reach = min(self.reach, height - 1)
        for band in even_parts(-reach, reach + 1, self.depth):
            offset = self._offset(dx, band) if bounded else None
            most = part.buffers.rows
            for rows in even_parts(max(0, 1 - band.stop), height - max(0, band.start), most):
                relevance = part.relevance(rows, band)
                here = (rows, slice(left, right))
                if offset is not None:
                    # The best are kept times the query's norm, and so is what is taken off.
                    relevance.addcmul_(offset, self.query_norms[here][..., None, None])
                start = torch.arange(rows.start, rows.stop, device=self.found.device) + band.start
                start = start[:, None] * width + first
                _improve(self.best[here], self.found[here], relevance, start, width)

    def _offset(self, dx: Tensor, band: slice) -> Tensor:
        dy = torch.arange(band.start, band.stop, device=dx.device, dtype=dx.dtype)[:, None]
        away = -self.bias * torch.hypot(dy, dx[:, None])
        return away.masked_fill(dx[:, None].abs() > self.reach, -torch.inf)


def _improve(best: Tensor, found: Tensor, relevance: Tensor, start: Tensor, width: int) -> None:
    """Take over what is better than the best so far, in place.

    Parameters
    ----------
    best, found : Tensor
        ``(rows, queries)``.
    relevance : Tensor
        ``(rows, queries, key rows, keys)``.
    start : Tensor
        Index of the first key, ``(rows, 1)``.
    width : int
        By how much the index grows from key row to key row.
    """
    # On a processor amax is many times as fast as max or argmax: those see as little as they can.
    most, row = relevance.amax(-1).max(-1)
    better = most > best
    if relevance.device.type in _SYNCHRONOUS:
        y, x = better.nonzero(as_tuple=True)
        row = row[y, x]
        best[y, x] = most[y, x]
        found[y, x] = start[y, 0] + row * width + relevance[y, x, row].argmax(-1)
        return
    column = relevance.take_along_dim(row[..., None, None], 2)[:, :, 0].argmax(-1)
    best.copy_(torch.where(better, most, best))
    found.copy_(torch.where(better, start + row * width + column, found))
