"""A computed image as OME-TIFF: a tiled pyramid in µm, at its place, with its provenance."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_cwtnet import __version__
from napari_cwtnet.export.pyramid import Count, Place, image_place
from napari_cwtnet.export.record import Image
from napari_cwtnet.slides.colour import SRGB_PROFILE
from napari_cwtnet.slides.provenance_tags import KEY

_TILE = 256
_PASS_BYTES = 16 * 2**20
"""Compressed at a time."""
_MICROMETRES_PER_CM = 10_000


def write_ome_tiff(
    path: Path,
    levels: Sequence[Image],
    provenance: Mapping[str, Any],
    mpp: float | None,
    count: Count,
) -> None:
    """Write levels ``(height, width, 3)`` uint8 RGB, finest first, lossless."""
    count.total = sum(_tile_count(level) for level in levels)
    place = image_place(provenance, mpp)
    metadata = {
        "axes": "YXS",
        "Name": provenance.get("badge", "COMPUTED"),
        "Creator": f"napari-cwtnet {__version__}",
        "UUID": _uuid(provenance),
        "MapAnnotation": annotation(provenance),
        **_position(place),
    }
    options: dict[str, Any] = {
        "photometric": "rgb",
        "tile": (_TILE, _TILE),
        "compression": "deflate",
        "predictor": True,
        "dtype": np.uint8,
        "software": f"napari-cwtnet {__version__}",
        "iccprofile": SRGB_PROFILE if provenance.get("icc_to_srgb") else None,
        "buffersize": _PASS_BYTES,
    }
    large = math.prod(levels[0].shape) > 2**31
    with tifffile.TiffWriter(path, bigtiff=large, ome=True) as tiff:
        for number, level in enumerate(levels):
            more: dict[str, Any] = {"subfiletype": 1}
            if number == 0:
                more = {"subifds": len(levels) - 1, "metadata": metadata}
            tiff.write(
                _tiles(level, count),
                shape=level.shape,
                **options,
                **_resolution(place, 2**number),
                **more,
            )


def _uuid(provenance: Mapping[str, Any]) -> str:
    """Of this provenance alone; tifffile's own would hold the network address of the machine."""
    words = json.dumps(provenance, sort_keys=True, ensure_ascii=False)
    return str(uuid.uuid5(uuid.NAMESPACE_OID, words))


def annotation(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Notes for people, and under :data:`KEY` all of them as JSON for programs."""
    notes = {key: _text(value) for key, value in provenance.items()}
    return notes | {KEY: json.dumps(dict(provenance))}


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() else " " for one in text)  # XML has no others


def _position(place: Place) -> dict[str, Any]:
    unit = place.unit or "pixel"
    plane = {"PositionX": place.x, "PositionY": place.y}
    found: dict[str, Any] = {
        "Plane": {
            name: [value]
            for axis, length in plane.items()
            for name, value in ((axis, length), (f"{axis}Unit", unit))
        }
    }
    if place.unit is not None:
        found |= {"PhysicalSizeX": place.width, "PhysicalSizeY": place.height}
        found |= {f"PhysicalSize{axis}Unit": place.unit for axis in "XY"}
    return found


def _resolution(place: Place, factor: int) -> dict[str, Any]:
    """The pixel size once more, in the tags that readers look at who know nothing of OME."""
    if place.unit is None:
        return {}
    x, y = (_MICROMETRES_PER_CM / (side * factor) for side in (place.width, place.height))
    return {"resolution": (x, y), "resolutionunit": "CENTIMETER"}


def _tile_count(image: Image) -> int:
    height, width = image.shape[:2]
    return int(-(-height // _TILE) * -(-width // _TILE))


def _tiles(image: Image, count: Count) -> Iterator[NDArray[np.uint8]]:
    """Whole tiles, row by row; beyond the image its last row and column are repeated."""
    height, width = image.shape[:2]
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            tile = image[top : top + _TILE, left : left + _TILE]
            missing = tuple((0, _TILE - side) for side in tile.shape[:2])
            count.one_more()  # before, for the last one is not asked for what follows it
            yield np.pad(tile, (*missing, (0, 0)), mode="edge")
