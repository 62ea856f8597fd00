"""Blending: tiles arrive in any order and always make the same picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.enhancement.plan import Plan
from napari_cwtnet.enhancement.tiling import FULL_WEIGHT, Span, Tile, placement


class Canvas:
    """The picture of a region as its tiles come in.

    Integer sums make the bytes independent of the order of the tiles. Sums are kept only where
    tiles overlap, until all have arrived; elsewhere pixels are copied. Where tiles overlap along
    one axis, 16 bits hold the sums.

    Attributes
    ----------
    rgba : ndarray
        ``(height, width, 4)`` uint8; alpha is 0 where no tile has arrived, else 255.
    error : ndarray or None
        Predicted error in grey levels, ``(h, w)`` float32 on the LR grid, infinite where no tile
        with one has arrived; None before the first.
    """

    def __init__(self, plan: Plan) -> None:
        width, height = plan.output_size
        self._plan = plan
        self._fading: dict[tuple[int, int], tuple[NDArray[Any], NDArray[Any]]] = {}
        self.rgba = np.zeros((height, width, 4), np.uint8)
        self.error: NDArray[np.float32] | None = None

    def add(
        self, tile: Tile, sr: NDArray[np.uint8], error: NDArray[np.float32] | None = None
    ) -> tuple[slice, slice]:
        """Blend the SR pixels of a tile in.

        Parameters
        ----------
        tile : Tile
            Its place.
        sr : ndarray
            ``(h, w, 3)`` uint8, the pixels from ``start`` to ``stop`` of both spans.
        error : ndarray, optional
            Predicted error of all that was read for the tile, ``(h, w)`` on the LR grid, grey
            levels. Not blended: each pixel has that of the tile that owns it.

        Returns
        -------
        rows, columns : slice
            What changed in ``rgba``.
        """
        if error is not None:
            self._put(tile, error)
        scale, (column, row) = self._plan.scale, self._plan.lattice.origin
        top, left = (tile.rows.start - row) * scale, (tile.columns.start - column) * scale
        height, width = self.rgba.shape[:2]
        down = _bands(tile.rows, scale, top, height)
        across = _bands(tile.columns, scale, left, width)
        weights_down = tile.rows.weights(scale)[:, None]
        weights_across = tile.columns.weights(scale)[None]
        for rows, alone_down in down:
            for columns, alone_across in across:
                here = (
                    slice(rows.start - top, rows.stop - top),
                    slice(columns.start - left, columns.stop - left),
                )
                if alone_down and alone_across:
                    _copy_colours(sr[here], self.rgba[rows, columns])
                    self.rgba[rows, columns, 3] = 255
                elif alone_down or alone_across:
                    ramp = weights_across[:, here[1]] if alone_down else weights_down[here[0]]
                    self._blend((rows, columns), sr[here], ramp.astype(np.uint16), FULL_WEIGHT)
                else:
                    fading = weights_down[here[0]] * weights_across[:, here[1]]
                    self._blend((rows, columns), sr[here], fading, FULL_WEIGHT**2)
        return (
            slice(down[0][0].start, down[-1][0].stop),
            slice(across[0][0].start, across[-1][0].stop),
        )

    def _put(self, tile: Tile, error: NDArray[np.float32]) -> None:
        lattice = self._plan.lattice
        if self.error is None:
            self.error = np.full((lattice.size.height, lattice.size.width), np.inf, np.float32)
        placement(lattice, tile).copy(error, self.error)

    def _blend(
        self, there: tuple[slice, slice], sr: NDArray[np.uint8], weights: NDArray[Any], full: int
    ) -> None:
        # Neighbours fade into one another over the very same pixels. ``full`` is the total weight
        # once all of them have arrived.
        place, rgba = (there[0].start, there[1].start), self.rgba[there]
        sums, total = np.multiply(sr, weights[..., None], dtype=weights.dtype), weights
        before = self._fading.pop(place, None)
        if before is not None:
            sums, total = sums + before[0], total + before[1]
        complete = (total == full).all()
        if not complete:
            self._fading[place] = sums, total
        if before is None:
            mean: NDArray[Any] = sr
        else:
            divisor = full if complete else np.maximum(total, 1)[..., None]
            mean = (sums + divisor // 2) // divisor
        _copy_colours(mean, rgba)
        rgba[..., 3] = np.where(total > 0, 255, 0)

    @property
    def image(self) -> NDArray[np.uint8]:
        """``(height, width, 3)`` uint8 RGB, a copy; black where no tile has been added yet."""
        image = np.empty((*self.rgba.shape[:2], 3), np.uint8)
        _copy_colours(self.rgba, image)
        return image


def _copy_colours(source: NDArray[Any], target: NDArray[np.uint8]) -> None:
    for channel in range(3):  # several times as fast as all at once
        target[..., channel] = source[..., channel]


def _bands(span: Span, scale: int, first: int, end: int) -> list[tuple[slice, bool]]:
    """Where a tile fades in, counts alone and fades out on the canvas; empty ones are left out.

    Parameters
    ----------
    span : Span
        Of the tile, along one axis.
    scale : int
        SR pixels per LR pixel.
    first, end : int
        Where the tile begins and where the canvas ends, SR pixels of the canvas.

    Returns
    -------
    list of (slice, bool)
        Pixels of the canvas, and whether no other tile counts there.
    """
    last = first + (span.stop - span.start) * scale
    fades = first + span.ramp_in * scale, last - span.ramp_out * scale
    found = []
    for start, stop, alone in ((first, fades[0], False), (*fades, True), (fades[1], last, False)):
        if max(start, 0) < min(stop, end):
            found.append((slice(max(start, 0), min(stop, end)), alone))
    return found
