"""A map as floating-point OME-TIFF: its values as they are, at their place, marked as computed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_cwtnet import __version__
from napari_cwtnet.export.place import image_place
from napari_cwtnet.files import written_whole
from napari_cwtnet.inspection import Map

_PLANES = {"direction": ("down", "right")}
_RGB = ("red", "green", "blue")


def map_provenance(found: Map, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What a map's file says of itself: the field's provenance, at the map's own place."""
    native = provenance["native_mpp"]
    place = found.region
    return {
        **provenance,
        "badge": f"{provenance['badge']} · {found.title}",
        "title": found.title,
        "meaning": found.meaning,
        "unit": found.unit,
        "shown_from": found.low,
        "shown_to": found.high,
        "region": [place.x, place.y, place.width, place.height],
        "output_downsample": found.downsample,
        "output_mpp": None if native is None else native * found.downsample,
        "dtype": "float32",
    }


def save_map(path: Path, found: Map, provenance: Mapping[str, Any]) -> None:
    """Write a map's values as float32, whole or not at all.

    Parameters
    ----------
    path : Path
        Ends in ``.ome.tif``.
    found : Map
        ``(h, w)`` becomes one plane; directions become two, down and right, in LR pixels; RGB
        becomes three.
    provenance : mapping
        Of the field it was made from.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    known = map_provenance(found, provenance)
    place = image_place(known, known["output_mpp"])
    values = np.asarray(found.values, np.float32)
    names = _PLANES.get(found.palette, _RGB) if values.ndim == 3 else (found.unit,)
    metadata: dict[str, Any] = {
        "axes": "CYX" if values.ndim == 3 else "YX",
        "Name": known["badge"],
        "Creator": f"napari-cwtnet {__version__}",
        "UUID": str(uuid.uuid4()),  # tifffile's own would hold the network address of the machine
        "MapAnnotation": {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in known.items()
        },
        "Channel": {"Name": list(names)},
        "Plane": {
            "PositionX": [place.x] * len(names),
            "PositionY": [place.y] * len(names),
            "PositionXUnit": [place.unit or "pixel"] * len(names),
            "PositionYUnit": [place.unit or "pixel"] * len(names),
        },
    }
    if place.unit is not None:
        metadata |= {f"PhysicalSize{axis}": place.pixel for axis in "XY"}
        metadata |= {f"PhysicalSize{axis}Unit": place.unit for axis in "XY"}
    with written_whole(path) as partial:
        tifffile.imwrite(
            partial,
            np.moveaxis(values, -1, 0) if values.ndim == 3 else values,
            ome=True,
            photometric="minisblack",
            compression="deflate",
            predictor=True,
            metadata=metadata,
            software=f"napari-cwtnet {__version__}",
        )
