"""A computed image as OME-Zarr (NGFF 0.5, Zarr 3): a pyramid in µm, at its place."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_cwtnet import __version__
from napari_cwtnet.export.pyramid import CHUNK, Count, Place, image_place, level_sizes
from napari_cwtnet.export.record import Image
from napari_cwtnet.files import is_real_folder, read_file
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.provenance_tags import KEY

WRITTEN: Any = {"write_empty_chunks": True}
"""How arrays are opened for writing: black chunks are written, so that a missing one is a loss."""

_LEVEL = 3
_AXES = ("c", "y", "x")
_CHANNELS = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
_OWN = re.compile(r"zarr\.json|\d+(/(zarr\.json|c(/\d+){0,3}))?")
_OF_THE_SYSTEM = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""Put into every folder that a file manager shows."""


def write_ome_zarr(
    path: Path,
    levels: Sequence[Image],
    provenance: Mapping[str, Any],
    mpp: float | None,
    count: Count,
) -> None:
    """Write levels ``(height, width, 3)`` uint8 RGB, finest first, lossless, as planes."""
    image = levels[0]
    count.total = sum(-(-level.shape[0] // CHUNK) for level in levels)
    arrays = create_ome_zarr(path, Size(image.shape[1], image.shape[0]), provenance, mpp)
    for array, level in zip(arrays, levels, strict=True):
        height = level.shape[0]
        for top in range(0, height, CHUNK):
            rows = slice(top, min(top + CHUNK, height))
            array[:, rows] = level[rows, :].transpose(2, 0, 1)
            count.one_more()


def create_ome_zarr(
    path: Path, size: Size, provenance: Mapping[str, Any], mpp: float | None
) -> list[Any]:
    """An OME-Zarr without pixels yet: the arrays of its levels ``(3, height, width)`` uint8.

    Parameters
    ----------
    path : Path
        New folder.
    size : Size
        Of the finest level, pixels.
    provenance : mapping
        JSON values; ``badge`` names the image.
    mpp : float or None
        µm per pixel.
    """
    import zarr
    from zarr.codecs import ZstdCodec

    sizes = level_sizes(size)
    attributes = {
        "ome": {
            "version": "0.5",
            "multiscales": [_multiscale(len(sizes), provenance, image_place(provenance, mpp))],
            "omero": _omero(provenance),
        },
        KEY: dict(provenance),
    }
    group = zarr.create_group(store=str(path), zarr_format=3, attributes=attributes)
    return [
        group.create_array(
            str(number),
            shape=(3, height, width),
            dtype="uint8",
            chunks=(3, min(CHUNK, height), min(CHUNK, width)),
            compressors=ZstdCodec(level=_LEVEL),
            dimension_names=_AXES,
            config=WRITTEN,
        )
        for number, (width, height) in enumerate(sizes)
    ]


def is_computed_zarr(path: Path) -> bool:
    """Whether a folder is an OME-Zarr of this package, and nobody put labels or more into it."""
    try:
        group = json.loads(read_file(path / "zarr.json"))
        return is_real_folder(path) and KEY in group["attributes"] and not any(_foreign(path))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _foreign(path: Path) -> Iterator[str]:
    """What this program does not write, at any depth; links too, for theirs is another place."""
    for folder, folders, files in os.walk(path):
        above = Path(folder).relative_to(path)
        for name in (*folders, *files):
            inside = (above / name).as_posix()
            own = _OWN.fullmatch(inside) and not (path / inside).is_symlink()
            if not own and name not in _OF_THE_SYSTEM:
                yield inside


def _multiscale(levels: int, provenance: Mapping[str, Any], place: Place) -> dict[str, Any]:
    length = {"type": "space"} if place.unit is None else {"type": "space", "unit": "micrometer"}
    return {
        "name": provenance.get("badge", "COMPUTED"),
        "axes": [{"name": "c", "type": "channel"}] + [{"name": axis, **length} for axis in "yx"],
        "datasets": [_dataset(number, place) for number in range(levels)],
        "type": "mean",
        "metadata": {
            "description": "means of 2 × 2 pixels",
            "method": f"napari-cwtnet {__version__}",
        },
    }


def _dataset(number: int, place: Place) -> dict[str, Any]:
    factor = 2**number
    shift = (factor - 1) / 2  # the centre of a coarser pixel lies further in
    y, x = place.y + place.height * shift, place.x + place.width * shift
    return {
        "path": str(number),
        "coordinateTransformations": [
            {"type": "scale", "scale": [1.0, place.height * factor, place.width * factor]},
            {"type": "translation", "translation": [0.0, y, x]},
        ],
    }


def _omero(provenance: Mapping[str, Any]) -> dict[str, Any]:
    window = {"min": 0, "max": 255, "start": 0, "end": 255}
    return {
        "name": provenance.get("badge", "COMPUTED"),
        "channels": [
            {"label": label, "color": colour, "active": True, "window": window}
            for label, colour in _CHANNELS
        ],
        "rdefs": {"model": "color"},
    }
