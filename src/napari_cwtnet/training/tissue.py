"""Which fields are worth learning from: tissue, not glass; sharp, not blurred."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST_TISSUE = 0.25
"""Share of a field that shows tissue; one with less is as good as blank."""

_LEAST_COLOUR = 18
_BRIGHTEST_GREY = 180
_DARKEST_GREY = 20


def tissue_mask(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where ``(h, w, 3)`` shows tissue: coloured, or grey but neither bright nor black."""
    low, high = image.min(2), image.max(2)
    mean = image.mean(2, dtype=np.float32)
    grey = (mean >= _DARKEST_GREY) & (mean <= _BRIGHTEST_GREY)
    mask: NDArray[np.bool_] = (high - low >= _LEAST_COLOUR) | grey
    return mask


def sharpness(image: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of the brightness (0..255) of ``(h, w, 3)``; sides of 3 or more.

    High for edges and texture, low where the field is out of focus.
    """
    grey = image.mean(2, dtype=np.float32)
    laplacian = (
        grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    )
    return float(laplacian.var())
