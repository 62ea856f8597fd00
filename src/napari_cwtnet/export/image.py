"""A computed image as PNG or OME-TIFF, with its provenance inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from napari_cwtnet.errors import OutputError
from napari_cwtnet.files import written_whole

_TILE = 256
_SMALLEST_LEVEL = 512


def check_output(path: Path) -> None:
    """Refuse, before anything is computed, an output that cannot be written.

    Raises
    ------
    OutputError
        If the ending is unknown or the folder does not exist.
    """
    if not path.name.lower().endswith((".png", ".ome.tif", ".ome.tiff")):
        raise OutputError(f"Output {path} has an unknown ending; choose .png or .ome.tif.")
    if not path.parent.is_dir():
        raise OutputError(f"Folder {path.parent} does not exist; make it or choose another output.")
    if path.is_dir():
        raise OutputError(f"Output {path} is a folder; give the name of a file.")


def save_image(
    path: Path, image: NDArray[np.uint8], provenance: dict[str, Any], mpp: float | None
) -> None:
    """Write a computed image, whole or not at all.

    Parameters
    ----------
    path : Path
        Ends in ``.png`` (provenance as text chunks) or ``.ome.tif`` (tiled pyramid, pixel size in
        µm, provenance as map annotation).
    image : ndarray
        ``(height, width, 3)`` uint8 RGB.
    provenance : dict
        JSON values; ``badge`` names the image.
    mpp : float or None
        µm per pixel.

    Raises
    ------
    OutputError
        If the ending is unknown, or the folder is missing, not writable or full.
    """
    check_output(path)
    with written_whole(path) as partial:
        if path.suffix.lower() == ".png":
            _write_png(partial, image, provenance, mpp)
        else:
            _write_ome_tiff(partial, image, provenance, mpp)


def _write_png(
    path: Path, image: NDArray[np.uint8], provenance: dict[str, Any], mpp: float | None
) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("Title", provenance.get("badge", "COMPUTED"))
    notes.add_itxt("Comment", json.dumps(provenance, ensure_ascii=False))
    dpi = None if mpp is None else (25_400 / mpp, 25_400 / mpp)
    options = {} if dpi is None else {"dpi": dpi}
    Image.fromarray(image).save(path, format="PNG", pnginfo=notes, **options)


def _write_ome_tiff(
    path: Path, image: NDArray[np.uint8], provenance: dict[str, Any], mpp: float | None
) -> None:
    levels = _pyramid(image)
    metadata: dict[str, Any] = {
        "axes": "YXS",
        "Name": provenance.get("badge", "COMPUTED"),
        "MapAnnotation": {key: str(value) for key, value in provenance.items()},
    }
    if mpp is not None:
        metadata |= {f"PhysicalSize{axis}": mpp for axis in "XY"}
        metadata |= {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    options: dict[str, Any] = {
        "photometric": "rgb",
        "tile": (_TILE, _TILE),
        "compression": "deflate",
        "predictor": True,
    }
    with tifffile.TiffWriter(path, bigtiff=image.nbytes > 2**31, ome=True) as tiff:
        tiff.write(image, subifds=len(levels), metadata=metadata, **options)
        for level in levels:
            tiff.write(level, subfiletype=1, **options)


def _pyramid(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Halves, quarters … of an image, by 2×2 means."""
    levels: list[NDArray[np.uint8]] = []
    while max(image.shape[:2]) > _SMALLEST_LEVEL and min(image.shape[:2]) >= 2:
        height, width = (side // 2 * 2 for side in image.shape[:2])
        blocks = image[:height, :width].reshape(height // 2, 2, width // 2, 2, 3)
        image = ((blocks.sum((1, 3), dtype=np.uint16) + 2) // 4).astype(np.uint8)
        levels.append(image)
    return levels
