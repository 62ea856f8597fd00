"""Undo the interpolation of levels whose downsample is not whole, as OpenSlide reads them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.slides.backend import Pixels

MARGIN = 8
"""Pixels beyond a tile that `unblend` needs; what further ones add is below 2e-4."""

NEGLIGIBLE = 1 / 256
"""A fraction of a pixel that changes no 8-bit sample by more than rounding does."""


def unblend(pixels: Pixels, fractions: tuple[float, float]) -> Pixels:
    """Stored pixels of ones that were read between them.

    OpenSlide takes places in level-0 pixels, so that most places on a level of downsample 4.0003
    can only be read a fraction ``e`` off: each sample is ``(1 - e) p[j] + e p[j + 1]``. That
    mixing is inverted by its geometric series; it differs from tile to tile and would leave
    seams.

    Parameters
    ----------
    pixels : ndarray
        (h, w, 4) uint8 RGBA.
    fractions : tuple of float
        How far to the right and down of the pixels wanted these lie, in pixels, -0.5..0.5.

    Returns
    -------
    ndarray
        (h, w, 4) uint8; unchanged where pixels are missing, since colours cannot be told apart
        from the background there.
    """
    if pixels[1:-1, 1:-1, 3].min(initial=255) < 255:
        return pixels
    values = pixels[..., :3].astype(np.float32)
    for axis, fraction in ((1, fractions[0]), (0, fractions[1])):
        if abs(fraction) > NEGLIGIBLE:
            values = _unblend_axis(values, fraction, axis)
    out = np.full_like(pixels, 255)
    out[..., :3] = np.rint(values).clip(0, 255)
    return out


def _unblend_axis(values: NDArray[np.float32], fraction: float, axis: int) -> NDArray[np.float32]:
    length = values.shape[axis]
    ratio = -abs(fraction) / (1 - abs(fraction))
    total = np.zeros_like(values)
    for term in range(MARGIN):
        step = term if fraction > 0 else -term
        index = np.arange(step, step + length).clip(0, length - 1)
        total += np.float32(ratio**term) * values.take(index, axis)
    return total / np.float32(1 - abs(fraction))
