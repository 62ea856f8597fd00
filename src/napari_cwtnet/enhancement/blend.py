"""Tiles arrive in any order; what they make together does not depend on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.enhancement.plan import Plan
from napari_cwtnet.enhancement.tiling import Tile


class Canvas:
    """The picture of a region as its tiles come in.

    Sums are whole numbers, so that the bytes are the same whatever the order of the tiles.

    Attributes
    ----------
    rgba : ndarray
        ``(height, width, 4)`` uint8; alpha is 0 where nothing is computed yet, else 255.
    """

    def __init__(self, plan: Plan) -> None:
        width, height = plan.output_size
        self._plan = plan
        self._sums = np.zeros((height, width, 3), np.uint32)
        self._weights = np.zeros((height, width), np.uint32)
        self.rgba = np.zeros((height, width, 4), np.uint8)

    def add(self, tile: Tile, sr: NDArray[np.uint8]) -> tuple[slice, slice]:
        """Blend the SR pixels of a tile in.

        Parameters
        ----------
        tile : Tile
            Its place.
        sr : ndarray
            ``(h, w, 3)`` uint8, the pixels from ``start`` to ``stop`` of both spans.

        Returns
        -------
        rows, columns : slice
            What changed in ``rgba``.
        """
        scale, (column, row) = self._plan.scale, self._plan.lattice.origin
        top, left = (tile.rows.start - row) * scale, (tile.columns.start - column) * scale
        height, width = self._weights.shape
        rows = slice(max(0, top), min(height, top + sr.shape[0]))
        columns = slice(max(0, left), min(width, left + sr.shape[1]))
        inside = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        weights = tile.weights(scale)[inside]
        self._sums[rows, columns] += sr[inside] * weights[..., None]
        self._weights[rows, columns] += weights
        total = self._weights[rows, columns]
        divisor = np.maximum(total, 1)[..., None]
        self.rgba[rows, columns, :3] = (self._sums[rows, columns] + divisor // 2) // divisor
        self.rgba[rows, columns, 3] = np.where(total > 0, 255, 0)
        return rows, columns

    @property
    def image(self) -> NDArray[np.uint8]:
        """``(height, width, 3)`` uint8 RGB, a copy; black where nothing is computed yet."""
        return np.ascontiguousarray(self.rgba[..., :3])
