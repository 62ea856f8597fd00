"""What a picture is stained with, as far as its colours tell: dark fluorescence, brown, or not.

In optical densities a stain is a direction. Haematoxylin and eosin, and PAS, take red and green
light away more than blue; diaminobenzidine, the brown of immunohistochemistry, takes blue away
most. That alone separates them, whatever the scanner. Deconvolution with the stain vectors of
the literature does not: it finds brown in most pixels of an H&E slide of a warm scanner.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.slides.slide import Slide

Stain = Literal["light", "brown", "fluorescence", "none"]
"""``light`` is H&E, PAS and their like; ``none`` is glass."""

_DARK = 70
"""Grey level that no channel of a dark pixel reaches."""
_DARK_SHARE = 0.5
"""Of the pixels. Measured: 0.83 and 0.99 of two fluorescence slides, at most 0.04 of others."""
_STAINED = 0.15
"""Optical density from which a pixel is stained."""
_STAINED_SHARE = 0.005
_BROWN = 0.25
"""Optical density in blue from which a pixel can be brown."""
_BROWN_OVER_RED = 1.1
_BROWN_SHARE = 0.05
"""Of stained pixels. Measured: 0.14 and 0.16 of two Ki-67 slides, at most 0.01 of H&E and PAS."""
_SIDE = 512
"""Pixels of a slide's overview, which is enough to judge by."""


def stain_in(pixels: NDArray[np.uint8]) -> Stain:
    """The kind of stain in a picture.

    Parameters
    ----------
    pixels : ndarray
        ``(h, w, 3)``, sRGB, uint8.
    """
    flat = pixels.reshape(-1, 3)
    if flat.size == 0:
        return "none"
    if (flat.max(axis=1) < _DARK).mean() > _DARK_SHARE:
        return "fluorescence"
    density = -np.log10((flat.astype(np.float32) + 1) / 256)
    stained = density[density.max(axis=1) > _STAINED]
    if len(stained) < _STAINED_SHARE * len(flat):
        return "none"
    red, green, blue = stained.T
    brown = (blue > _BROWN) & (blue > _BROWN_OVER_RED * red) & (blue > green)
    return "brown" if brown.mean() > _BROWN_SHARE else "light"


def stain_of(slide: Slide) -> Stain:
    """The kind of stain of a slide, from its overview.

    Raises
    ------
    SlideError
        If it cannot be read.
    """
    return stain_in(slide.read(slide.bounds, max(1.0, max(slide.size) / _SIDE)))
