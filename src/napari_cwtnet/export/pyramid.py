"""Coarser copies of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SMALLEST_LEVEL = 512


def halved(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Halves, quarters … of an image, ``(height, width, 3)`` uint8, by 2×2 means.

    Down to the first whose longer side is at most 512 pixels; the image itself is not among them.
    """
    levels: list[NDArray[np.uint8]] = []
    while max(image.shape[:2]) > _SMALLEST_LEVEL and min(image.shape[:2]) >= 2:
        height, width = (side // 2 * 2 for side in image.shape[:2])
        blocks = image[:height, :width].reshape(height // 2, 2, width // 2, 2, 3)
        image = ((blocks.sum((1, 3), dtype=np.uint16) + 2) // 4).astype(np.uint8)
        levels.append(image)
    return levels
