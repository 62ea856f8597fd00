"""Best-match search: strips of query columns, each in bands of displacement rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

# Memory of a strip's sweep, allocated once: a fixed size, or what a single query row needs.
#
# One row exceeds that size in a full search of fields wider than some 400 pixels, and then needs
# three times the square of the width, never the square of the number of pixels.

# Entries of the largest buffer: about 2 MB on a processor, to fit its cache. An accelerator has no
# such cache, but each call costs.
_ENTRIES = {"cpu": 1 << 19}
_ENTRIES_ELSEWHERE = 1 << 25


@dataclass(frozen=True, slots=True)
class Buffers:
    """Memory for ``rows`` query rows of a strip, and one more on either side."""

    rows: int
    queries: int
    """Query columns of the strip."""
    depth: int
    """Key rows that a query row meets at once."""
    keys: int
    """Key columns that the strip may look at."""
    _products: Tensor
    _along_x: Tensor
    _sums: Tensor

    @classmethod
    def like(cls, features: Tensor, queries: int, depth: int, keys: int) -> Buffers:
        """For features ``(H, W, C)``; at least one row, at most all of them."""
        entries = _ENTRIES.get(features.device.type, _ENTRIES_ELSEWHERE)
        wide, narrow = (queries + 2) * depth * (keys + 2), queries * depth * keys
        rows = max(1, min(features.shape[0], entries // wide - 2))
        sizes = (rows + 2) * wide, (rows + 2) * narrow, rows * narrow
        return cls(rows, queries, depth, keys, *(features.new_empty(size) for size in sizes))

    def products(self, rows: int, depth: int) -> Tensor:
        """``(rows, queries + 2, depth, keys + 2)``, uninitialised."""
        return _view(self._products, (rows, self.queries + 2, depth, self.keys + 2))

    def along_x(self, rows: int, depth: int) -> Tensor:
        """``(rows, queries, depth, keys)``, uninitialised."""
        return _view(self._along_x, (rows, self.queries, depth, self.keys))

    def sums(self, rows: int, depth: int) -> Tensor:
        """The same, of other memory."""
        return _view(self._sums, (rows, self.queries, depth, self.keys))


def _view(memory: Tensor, shape: tuple[int, ...]) -> Tensor:
    return memory[: math.prod(shape)].view(shape)


_EPSILON = 1e-6


def widened(features: Tensor) -> Tensor:
    """The same numbers in a format that can be summed: 16-bit floats become float32."""
    return features.float() if features.element_size() < 4 else features


def patch_sums(image: Tensor) -> Tensor:
    """Sums over 3×3 neighbourhoods, zero outside: ``(N, 1, H, W)`` to the same."""
    # For OpenVINO, whose converter takes no divisor.
    if torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        return F.avg_pool2d(image, 3, stride=1, padding=1) * 9
    return F.avg_pool2d(image, 3, stride=1, padding=1, divisor_override=1)


def patch_norms(features: Tensor) -> Tensor:
    """Euclidean norms of the 3×3 patches of ``(N, C, H, W)``: ``(N, 1, H, W)``, above 0.

    In float32 at least, whatever the features are in.
    """
    squares = patch_sums(widened(features).square().sum(1, keepdim=True))
    # Clamped before the root: its slope at 0 is infinite and would turn gradients into NaN. What is
    # divided by the least must still have a gradient in the features' own format.
    least = max(_EPSILON**2, torch.finfo(features.dtype).tiny)
    return squares.clamp_min(least).sqrt()


def identity_index(features: Tensor) -> Tensor:
    """The index map ``(N, H, W)`` in which every patch is its own match."""
    n, _, height, width = features.shape
    index = torch.arange(height * width, device=features.device)
    return index.view(1, height, width).expand(n, -1, -1)


def padded_rows(features: Tensor, above: int = 0) -> Tensor:
    """Channels last, with a column of zeros on either side and ``above`` rows of them as well.

    Returns
    -------
    Tensor
        ``(N, H + 2 above, W + 2, C)``, contiguous.
    """
    return F.pad(features.permute(0, 2, 3, 1), (0, 0, 1, 1, above, above)).contiguous()


# Relevances of a strip of query columns, several rows at once.
#
# The product of two 3×3 patches is a 3×3 sum of products of single pixels along the diagonal
# ``(y + e, x + f) · (y' + e, x' + f)``. So one needs no unfolded patches, and a ninth of their
# multiplications: for a band of displacements ``dy``, one small matrix product per query row gives
# the dot product of each of its pixels with each pixel of the key rows ``y + dy``; three shifted
# additions sum along x, three more over rows. What is held at a time fits into a processor's cache.


@dataclass(frozen=True, slots=True)
class Strip:
    """Some query columns, and the key columns that they may look at."""

    queries: Tensor  # (H, columns + 2, C)
    keys: Tensor  # (H + 2 depth, (columns + 2) C)
    key_scales: Tensor  # (H + 2 depth, columns)
    absent: Tensor  # (H + 2 depth, 1)
    depth: int
    buffers: Buffers

    def relevance(self, rows: slice, band: slice) -> Tensor:
        """Relevance times the query's norm: ``(rows, queries, key rows y + band, keys)``.

        Beyond the field it is -inf.
        """
        top, bottom = rows.start, rows.stop
        first, last = max(top - 1, 0), min(bottom + 1, len(self.queries))
        many, deep = bottom - top, band.stop - band.start
        products = self.buffers.products(last - first, deep)
        far = self._stacked(self.keys, first + band.start, last - first, deep)
        far = far.view(last - first, -1, self.queries.shape[-1])
        torch.bmm(self.queries[first:last], far.transpose(1, 2), out=products.flatten(2))
        along_x = self.buffers.along_x(many + 2, deep)
        # Query rows that are not there count nothing.
        along_x[: first - top + 1].zero_()
        along_x[last - top + 1 :].zero_()
        inside = along_x[first - top + 1 : last - top + 1]
        torch.add(products[:, :-2, :, :-2], products[:, 1:-1, :, 1:-1], out=inside)
        inside += products[:, 2:, :, 2:]
        sums = self.buffers.sums(many, deep)
        torch.add(along_x[:-2], along_x[1:-1], out=sums)
        sums += along_x[2:]
        scales = self._stacked(self.key_scales, top + band.start, many, deep)
        absent = self._stacked(self.absent, top + band.start, many, deep)
        scales, absent = scales.view(many, 1, deep, -1), absent.view(many, 1, deep, 1)
        return torch.addcmul(absent, sums, scales, out=sums)

    def _stacked(self, table: Tensor, first: int, count: int, deep: int) -> Tensor:
        """Rows ``first`` to ``first + deep`` end to end, the same from ``first + 1``, and so on.

        A view ``(count, deep · length)``; rows of the table are counted from ``-depth``.
        """
        length = table.shape[1]
        offset = table.storage_offset() + (first + self.depth) * length
        return table.as_strided((count, deep * length), (length, 1), offset)


def even_parts(first: int, last: int, most: int) -> Iterator[slice]:
    """Whole numbers ``first`` to ``last`` in parts of about the same size, of ``most`` or fewer."""
    parts = -(-(last - first) // most)
    edges = [first + (last - first) * part // parts for part in range(parts + 1)]
    return (slice(*pair) for pair in pairwise(edges))


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

    Exact up to rounding: of places equal within a few float32 units, it may find any.

    Parameters
    ----------
    query, key : Tensor
        ``(N, C, H, W)``; sums are in float32 at least.
    radius : int, optional
        Largest displacement along each axis, pixels; without it the whole field is searched.
    position_bias : float
        Subtracted from the relevance per pixel of distance during the search.
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

    Keys have ``depth`` more rows above and below, since a band may reach beyond the field.
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
        """The matches of this sample."""
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
    """Replace matches by better ones, in place.

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
