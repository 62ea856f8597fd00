"""Where a computed image lies, for formats that can say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_cwtnet.slides.computed import place_on_slide


@dataclass(frozen=True, slots=True)
class Place:
    """Pixel size and position of an image, as a viewer lays images over each other.

    The centre of the slide's first level-0 pixel is the origin, which is where napari, and other
    viewers that count from pixel centres, put it.
    """

    unit: str | None
    """``"µm"``; None where the slide has no pixel size, and lengths are level-0 pixels."""
    pixel: float
    """Side of a pixel."""
    x: float
    """Centre of the image's first pixel."""
    y: float


def image_place(provenance: Mapping[str, Any], mpp: float | None) -> Place:
    """The place of an image of this provenance and pixel size (µm, or None).

    At the origin, if the provenance names no region.
    """
    region, downsample = place_on_slide(provenance) or (None, 1.0)
    pixel = downsample if mpp is None else mpp
    x, y = (0.0, 0.0) if region is None else (region.x, region.y)
    native = pixel / downsample
    first = 0.0 if region is None else (downsample - 1) / 2
    return Place(None if mpp is None else "µm", pixel, (x + first) * native, (y + first) * native)
