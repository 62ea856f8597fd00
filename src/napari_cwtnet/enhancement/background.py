"""Where a slide shows nothing: glass, or the dark of a fluorescence image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

_RADIUS = 8
"""Of what is near, pixels; unevenness of the light is wider."""
_BRIGHT, _BRIGHT_DEVIATION = 200, 6
_DARK, _DARK_DEVIATION = 16, 2


def is_background(image: NDArray[np.uint8]) -> bool:
    """Whether an image is so even that there is nothing to sharpen.

    No pixel may be further from the mean of those around it than a few grey levels, in any colour,
    and all must be bright, or all dark: an even grey or pink may be tissue out of focus.

    Parameters
    ----------
    image : ndarray
        ``(h, w, 3)`` uint8.
    """
    least, most = int(image.min()), int(image.max())
    if least >= _BRIGHT:
        allowed = _BRIGHT_DEVIATION
    elif most <= _DARK:
        allowed = _DARK_DEVIATION
    else:
        return False
    near = np.asarray(Image.fromarray(image).filter(ImageFilter.BoxBlur(_RADIUS)))
    return bool(np.abs(image.astype(np.int16) - near).max() <= allowed)
