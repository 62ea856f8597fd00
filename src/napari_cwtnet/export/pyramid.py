"""Coarser copies of an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.provenance_tags import place_on_slide
from napari_cwtnet.slides.resolution import pixel_sides

_SMALLEST_LEVEL = 512
CHUNK = 1024
"""Side of a chunk of an OME-Zarr, pixels, and of what is digested at a time."""


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


@dataclass(frozen=True, slots=True)
class Place:
    """Pixel size and position of an image, as a viewer lays images over each other.

    The centre of the slide's first level-0 pixel is the origin, which is where napari, and other
    viewers that count from pixel centres, put it.
    """

    unit: str | None
    """``"µm"``; None where the slide has no pixel size, and lengths are level-0 pixels."""
    width: float
    """Of a pixel."""
    height: float
    """Of a pixel."""
    x: float
    """Centre of the image's first pixel."""
    y: float


def image_place(provenance: Mapping[str, Any], mpp: float | None) -> Place:
    """The place of an image of this provenance and pixel size (µm, or None).

    At the origin, if the provenance names no region. Pixels are square, unless the provenance
    names a ``pixel_aspect``.
    """
    region, downsample = place_on_slide(provenance) or (None, 1.0)
    width = height = downsample
    if mpp is not None:
        width, height = pixel_sides(mpp, provenance.get("pixel_aspect", 1.0))
    x, y = (0.0, 0.0) if region is None else (region.x, region.y)
    first = 0.0 if region is None else (downsample - 1) / 2
    return Place(
        None if mpp is None else "µm",
        width,
        height,
        (x + first) * width / downsample,
        (y + first) * height / downsample,
    )


Progress = Callable[[int, int], None]
"""Called with the parts done and the parts in all; what it raises ends the writing."""


class Count:
    """Counts parts of a file, and tells."""

    def __init__(self, progress: Progress | None = None) -> None:
        self.total = 1
        self._done = 0
        self._progress = progress

    def one_more(self) -> None:
        """A part is written."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self.total)
