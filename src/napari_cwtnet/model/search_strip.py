"""Relevances of a strip of query columns, several rows at once.

The product of two 3×3 patches is a 3×3 sum of products of single pixels along the diagonal
``(y + e, x + f) · (y' + e, x' + f)``. So one needs no unfolded patches, and a ninth of their
multiplications: for a band of displacements ``dy``, one small matrix product per query row gives
the dot product of each of its pixels with each pixel of the key rows ``y + dy``; three shifted
additions sum along x, three more over rows. What is held at a time fits into a processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from napari_cwtnet.model.search_buffers import Buffers


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
