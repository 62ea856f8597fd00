"""Coarser copies of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.geometry import Size

_SMALLEST_LEVEL = 512


def level_sizes(size: Size) -> list[Size]:
    """Sizes of an image and of its halves, quarters and so on.

    Down to the first whose longer side is at most 512 pixels.

    >>> level_sizes(Size(1301, 701))
    [Size(width=1301, height=701), Size(width=650, height=350), Size(width=325, height=175)]
    """
    sizes = [size]
    while max(sizes[-1]) > _SMALLEST_LEVEL and min(sizes[-1]) >= 2:
        sizes.append(Size(*(side // 2 for side in sizes[-1])))
    return sizes


def halve(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Means of 2×2 pixels of an image ``(height, width, 3)``; an odd last row or column is lost."""
    height, width = (side // 2 * 2 for side in image.shape[:2])
    blocks = image[:height, :width].reshape(height // 2, 2, width // 2, 2, 3)
    means = (blocks.sum((1, 3), dtype=np.uint16) + 2) // 4
    return np.asarray(means, np.uint8)


def halved(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Halves, quarters … of an image, as many as :func:`level_sizes` says.

    The image itself is not among them.
    """
    levels: list[NDArray[np.uint8]] = []
    for _ in level_sizes(Size(image.shape[1], image.shape[0]))[1:]:
        image = halve(image)
        levels.append(image)
    return levels
