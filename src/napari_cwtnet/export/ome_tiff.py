"""A computed image as OME-TIFF: a tiled pyramid in µm, at its place, with its provenance."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_cwtnet import __version__
from napari_cwtnet.export.place import image_place
from napari_cwtnet.export.progress import Count
from napari_cwtnet.export.pyramid import halved
from napari_cwtnet.slides.colour import SRGB_PROFILE

_TILE = 256
_MICROMETRES_PER_CM = 10_000


def write_ome_tiff(
    path: Path,
    image: NDArray[np.uint8],
    provenance: Mapping[str, Any],
    mpp: float | None,
    count: Count,
) -> None:
    """Write ``(height, width, 3)`` uint8 RGB, lossless; reduced levels are in SubIFDs."""
    levels = halved(image)
    count.total = sum(_tile_count(level) for level in (image, *levels))
    metadata = {
        "axes": "YXS",
        "Name": provenance.get("badge", "COMPUTED"),
        "Creator": f"napari-cwtnet {__version__}",
        "UUID": str(uuid.uuid4()),  # tifffile's own would hold the network address of the machine
        "MapAnnotation": {key: _text(value) for key, value in provenance.items()},
        **_position(provenance, mpp),
    }
    options: dict[str, Any] = {
        "photometric": "rgb",
        "tile": (_TILE, _TILE),
        "compression": "deflate",
        "predictor": True,
        "dtype": np.uint8,
        "software": f"napari-cwtnet {__version__}",
        "iccprofile": SRGB_PROFILE if provenance.get("icc_to_srgb") else None,
    }
    with tifffile.TiffWriter(path, bigtiff=image.nbytes > 2**31, ome=True) as tiff:
        for number, level in enumerate((image, *levels)):
            more: dict[str, Any] = {"subfiletype": 1}
            if number == 0:
                more = {"subifds": len(levels), "metadata": metadata}
            tiff.write(
                _tiles(level, count),
                shape=level.shape,
                **options,
                **_resolution(mpp, 2**number),
                **more,
            )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _position(provenance: Mapping[str, Any], mpp: float | None) -> dict[str, Any]:
    place = image_place(provenance, mpp)
    unit = place.unit or "pixel"
    plane = {"PositionX": place.x, "PositionY": place.y}
    found: dict[str, Any] = {
        "Plane": {
            name: [value]
            for axis, length in plane.items()
            for name, value in ((axis, length), (f"{axis}Unit", unit))
        }
    }
    if mpp is not None:
        found |= {f"PhysicalSize{axis}": mpp for axis in "XY"}
        found |= {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    return found


def _resolution(mpp: float | None, factor: int) -> dict[str, Any]:
    """The pixel size once more, in the tags that readers look at who know nothing of OME."""
    if mpp is None:
        return {}
    per_cm = _MICROMETRES_PER_CM / (mpp * factor)
    return {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}


def _tile_count(image: NDArray[np.uint8]) -> int:
    height, width = image.shape[:2]
    return int(-(-height // _TILE) * -(-width // _TILE))


def _tiles(image: NDArray[np.uint8], count: Count) -> Iterator[NDArray[np.uint8]]:
    """Whole tiles, row by row; beyond the image its last row and column are repeated."""
    height, width = image.shape[:2]
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            tile = image[top : top + _TILE, left : left + _TILE]
            missing = tuple((0, _TILE - side) for side in tile.shape[:2])
            count.one_more()  # before, for the last one is not asked for what follows it
            yield np.pad(tile, (*missing, (0, 0)), mode="edge")
