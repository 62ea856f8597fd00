"""What not to rely on in a computed image, as a mask beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.export.save import save_image
from napari_cwtnet.inspection.calibration import in_pixels


def marked_path(output: Path) -> Path:
    """``out.png.marked.png`` for ``out.png``."""
    return output.with_name(f"{output.name}.marked.png")


def save_mark(
    output: Path,
    squares: NDArray[np.bool_],
    image: NDArray[np.uint8],
    provenance: Mapping[str, Any],
    mpp: float | None,
) -> Path:
    """Write the mask of an image, 255 where not to rely on it; gives its path.

    Parameters
    ----------
    output : Path
        Of the image.
    squares : ndarray
        Whether each square of 8 × 8 pixels is marked.
    image : ndarray
        ``(height, width, ...)``.
    provenance : mapping
        Of the image, with ``trust``.
    mpp : float or None
        µm per pixel.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    height, width = image.shape[:2]
    path = marked_path(output)
    save_image(path, in_pixels(squares, height, width) * np.uint8(255), provenance, mpp)
    return path
