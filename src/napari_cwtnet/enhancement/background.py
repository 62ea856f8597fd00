"""Where a slide shows nothing: glass, or the dark of a fluorescence image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

_RADIUS = 8
"""Of what is near, pixels; unevenness of the light is wider."""
_BRIGHT, _DARK = 200, 16
_DARK_RANGE = 4
"""From the least to the most in a colour: what glows dimly may be wide and blurred."""
_DEVIATION = 2
"""Of a pixel from the mean of what is near, grey levels: noise may do so much."""
_TOGETHER = 12
"""Of nine neighbours in sum: noise cancels, and faint texture adds up."""


def is_background(image: NDArray[np.uint8]) -> bool:
    """Whether an image is so even that there is nothing to sharpen.

    In no colour may a pixel be further from the mean of those around it than two grey levels, nor
    may a pixel with its eight neighbours be so by more than a level and a third on average; and all
    must be bright, or all dark: an even grey or pink may be tissue out of focus. Fat, mucus and dim
    stains are paler than glass is noisy, so rather too little is background than too much.

    Parameters
    ----------
    image : ndarray
        ``(h, w, 3)`` uint8.
    """
    least, most = image.min((0, 1)).astype(int), image.max((0, 1)).astype(int)
    if most.max() <= _DARK:
        if (most - least).max() > _DARK_RANGE:
            return False
    elif least.min() < _BRIGHT:
        return False
    near = np.asarray(Image.fromarray(image).filter(ImageFilter.BoxBlur(_RADIUS)))
    apart = image.astype(np.int16) - near
    if np.abs(apart).max() > _DEVIATION:
        return False
    rows = apart[:-2] + apart[1:-1] + apart[2:]
    together = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return bool(np.abs(together).max(initial=0) <= _TOGETHER)
