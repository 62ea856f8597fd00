"""Background: input so uniform that there is nothing to sharpen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

_RADIUS = 8
"""Pixels of the local mean; uneven illumination varies more slowly."""
_BRIGHT, _DARK = 200, 16
_DARK_RANGE = 4
"""Largest range of a colour on dark background: dim fluorescence may be wide and blurred."""
_DEVIATION = 2
"""Largest deviation of a pixel from the local mean, grey levels: allows for noise."""
_DEVIATION_SUM = 12
"""Largest deviation summed over nine neighbours: noise cancels, faint texture adds up."""


def is_background(image: NDArray[np.uint8]) -> bool:
    """Whether an image is so uniform that there is nothing to sharpen.

    In each colour every pixel must be within two grey levels of the local mean, and every 3 × 3
    neighbourhood within a level and a third on average; and all must be bright, or all dark, since
    uniform grey or pink may be tissue out of focus. Fat, mucus and dim stains differ from glass by
    less than its noise, so the thresholds err towards tissue.

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
    local_mean = np.asarray(Image.fromarray(image).filter(ImageFilter.BoxBlur(_RADIUS)))
    deviation = image.astype(np.int16) - local_mean
    if np.abs(deviation).max() > _DEVIATION:
        return False
    rows = deviation[:-2] + deviation[1:-1] + deviation[2:]
    sums = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return bool(np.abs(sums).max(initial=0) <= _DEVIATION_SUM)
