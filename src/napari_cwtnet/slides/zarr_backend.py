"""OME-Zarr (NGFF 0.4 and 0.5) in folders, through zarr: pyramids of 8-bit RGB."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_cwtnet.errors import SlideError
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.backend import WHITE, Colour, Pixels
from napari_cwtnet.slides.compression import Encoding
from napari_cwtnet.slides.levels import Level, exact_downsample
from napari_cwtnet.slides.resolution import Resolution, micrometres, stated_resolution
from napari_cwtnet.slides.tiff_pages import MAX_TILE_PIXELS, tile_too_large

_LARGEST_TILE = 1024
_UNITS = {
    "picometer": "pm", "angstrom": "å", "nanometer": "nm", "micrometer": "µm", "millimeter": "mm",
    "centimeter": "cm", "meter": "m",
}  # fmt: skip
"""As NGFF names them, and as OME-XML does."""
_LOSSLESS = {
    "blosc", "bytes", "bz2", "crc32", "crc32c", "delta", "gzip", "lz4", "lzma", "sharding_indexed",
    "shuffle", "transpose", "zlib", "zstd",
}  # fmt: skip
_IDENTITY_TILES = 16
_ERRORS = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError)
# What zarr raises of its own derives from these, as do the decoders' errors.


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr group, of version 2 or 3."""
    return any((path / name).is_file() for name in ("zarr.json", ".zgroup"))


def is_rgb_zarr(path: Path) -> bool:
    """Whether a folder says of itself that it is what :class:`ZarrBackend` takes."""
    try:
        return is_zarr(path) and bool(ZarrBackend(path).levels)
    except SlideError:
        return False


class ZarrBackend:
    """The first multiscale image of an OME-Zarr.

    Parameters
    ----------
    path : Path
        The folder.

    Raises
    ------
    SlideError
        If it is no OME-Zarr, or its image is not one plane of 8-bit RGB.
    """

    background: Colour = WHITE
    format = "ome-zarr"
    icc_profile: bytes | None = None

    def __init__(self, path: Path) -> None:
        import zarr

        self._name = path.name
        try:
            group: Any = zarr.open_group(str(path), mode="r")
            attributes = dict(group.attrs)
            image = attributes.get("ome", attributes)["multiscales"][0]
            axes = [axis["name"] for axis in image["axes"]]
            self._arrays: list[Any] = [group[one["path"]] for one in image["datasets"]]
            scale = _scale(image["datasets"][0])
            shapes = [tuple(array.shape) for array in self._arrays]  # a group has none
        except _ERRORS as error:
            raise SlideError(
                f"Folder {path.name!r} is not an OME-Zarr image that can be read: "
                f"{_one_line(error)}; give the folder that holds its 'multiscales'."
            ) from error
        self._place = _Place(axes, path.name)
        for array, shape in zip(self._arrays, shapes, strict=True):
            self._place.check(shape, str(array.dtype))
        self.levels = _levels(self._place, self._arrays)
        del self._arrays[len(self.levels) :]
        self.resolution = _resolution(image, axes, scale)
        self.properties: Mapping[str, str] = _properties(image, attributes)

    def read_tile(self, level: int, column: int, row: int) -> Pixels:
        """One tile, cut at the level's edge: (h, w, 3) RGB, uint8."""
        size, tile = self.levels[level].size, self.levels[level].tile
        x, y = column * tile.width, row * tile.height
        right, bottom = min(x + tile.width, size.width), min(y + tile.height, size.height)
        try:
            return self._place.pixels(self._arrays[level], slice(y, bottom), slice(x, right))
        except _ERRORS as error:
            raise SlideError(
                f"Slide {self._name!r} cannot be read at tile {column},{row} of its "
                f"{size.width} × {size.height} image: {_one_line(error)}; copy it again."
            ) from error

    def encoding(self, level: int) -> Encoding | None:
        """How the chunks of a level are encoded; None where that is not known."""
        try:
            names = set(_codecs(self._arrays[level].metadata.to_dict()))
        except _ERRORS:
            return None
        if names <= _LOSSLESS:
            return Encoding("lossless")
        return Encoding("lossy") if any("jpeg" in name for name in names) else None

    def identity(self) -> Iterator[bytes]:
        """Hashes of a spread of tiles of the finest and of the coarsest level."""
        for level in sorted({0, len(self.levels) - 1}):
            columns, rows = self.levels[level].grid
            step = max(1, columns * rows // _IDENTITY_TILES)
            for number in range(0, columns * rows, step):
                tile = self.read_tile(level, number % columns, number // columns)
                yield hashlib.sha256(tile.tobytes()).digest()

    def close(self) -> None:
        """Let go of the arrays; no file is open between two reads."""
        self._arrays.clear()


class _Place:
    """Where rows, columns and colours are in an array of any axes."""

    def __init__(self, axes: Sequence[str], name: str) -> None:
        self._axes, self._name = axes, name

    def check(self, shape: Sequence[int], dtype: str) -> None:
        """Refuse what is not one plane of 8-bit RGB, or is empty."""
        axes, sizes = self._axes, dict(zip(self._axes, shape, strict=False))
        others = {axis: n for axis, n in sizes.items() if axis not in ("c", "y", "x") and n != 1}
        plane = len(axes) == len(shape) and {"y", "x"} <= sizes.keys() and not others
        if not plane or sizes.get("c") != 3 or dtype != "uint8" or 0 in shape:
            told = " × ".join(f"{n} {axis}" for axis, n in sizes.items())
            raise SlideError(
                f"Slide {self._name!r} is not one plane of 8-bit RGB ({told}, {dtype}); save it as "
                "such."
            )

    def size(self, array: Any) -> Size:
        """Width and height of a level."""
        found = dict(zip(self._axes, array.shape, strict=True))
        return Size(found["x"], found["y"])

    def tile(self, array: Any) -> Size:
        """Of a chunk, or less where a chunk is large."""
        found = dict(zip(self._axes, array.chunks, strict=True))
        if found["x"] * found["y"] > MAX_TILE_PIXELS:
            raise tile_too_large(self._name, found["x"], found["y"])
        return Size(min(found["x"], _LARGEST_TILE), min(found["y"], _LARGEST_TILE))

    def pixels(self, array: Any, rows: slice, columns: slice) -> Pixels:
        """(h, w, 3) of a rectangle."""
        where = {"y": rows, "x": columns, "c": slice(None)}
        found = np.asarray(array[tuple(where.get(axis, 0) for axis in self._axes)])
        left = [axis for axis in self._axes if axis in where]
        return np.ascontiguousarray(found.transpose([left.index(axis) for axis in "yxc"]))


def _levels(place: _Place, arrays: Sequence[Any]) -> tuple[Level, ...]:
    finest = place.size(arrays[0])
    levels = [Level(1.0, finest, place.tile(arrays[0]))]
    for array in arrays[1:]:
        size = place.size(array)
        factor = exact_downsample(finest, size)
        if factor <= levels[-1].downsample:
            break
        levels.append(Level(factor, size, place.tile(array)))
    return tuple(levels)


def _scale(dataset: Mapping[str, Any]) -> list[float]:
    found = [one["scale"] for one in dataset["coordinateTransformations"] if one["type"] == "scale"]
    return [float(value) for value in found[0]]


def _resolution(image: Mapping[str, Any], axes: Sequence[str], scale: list[float]) -> Resolution:
    lengths: dict[str, float | None] = {}
    for axis, described, value in zip(axes, image["axes"], scale, strict=False):
        unit = str(described.get("unit", ""))
        lengths[axis] = micrometres(value, _UNITS.get(unit, unit))
    return stated_resolution(lengths.get("x"), lengths.get("y"), "scale of the OME-Zarr")


def _properties(image: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, str]:
    found = {"zarr.Name": str(image.get("name", ""))}
    own = attributes.get("napari_cwtnet")
    if isinstance(own, Mapping):
        found["zarr.Name"] = str(own.get("badge", found["zarr.Name"]))
        found["zarr.Provenance"] = json.dumps(own, ensure_ascii=False)
    return found


def _codecs(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Names of all codecs of an array, or of a shard within it, of version 2 or 3."""
    found = [*(metadata.get("codecs") or ()), *(metadata.get("filters") or ())]
    if metadata.get("compressor"):
        found.append(metadata["compressor"])
    for codec in found:
        yield str(codec.get("name") or codec.get("id")).lower().removeprefix("numcodecs.")
        yield from _codecs({"codecs": codec.get("configuration", {}).get("codecs")})


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
