"""OME-Zarr (NGFF 0.1 to 0.5) in folders, through zarr: pyramids of 8-bit RGB."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_cwtnet.errors import SlideError
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.backend import WHITE, Colour, Pixels
from napari_cwtnet.slides.backends.tiff_pages import MAX_TILE_PIXELS, tile_too_large
from napari_cwtnet.slides.compression import Encoding
from napari_cwtnet.slides.provenance_tags import KEY
from napari_cwtnet.slides.pyramid import Candidate, pyramid_of
from napari_cwtnet.slides.resolution import Resolution, micrometres, stated_resolution

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
_PRIMARIES = ("FF0000", "00FF00", "0000FF")
_OLD_AXES = tuple("tczyx")
"""Of NGFF 0.1 and 0.2, which do not name them."""
_IDENTITY_TILES = 16
_ERRORS = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError)
# What zarr raises of its own derives from these, as do the decoders' errors.


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr group, of version 2 or 3; False where it cannot be looked into."""
    return any(os.path.isfile(path / name) for name in ("zarr.json", ".zgroup"))  # noqa: PTH113


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
    origin = (0, 0)

    def __init__(self, path: Path) -> None:
        import zarr

        self._name, self._path = path.name, path
        try:
            group: Any = zarr.open_group(str(path), mode="r")
            attributes = dict(group.attrs)
            image = attributes.get("ome", attributes)["multiscales"][0]
            described = [_axis(axis) for axis in image.get("axes", _OLD_AXES)]
            axes = [axis["name"] for axis in described]
            arrays: list[Any] = [group[one["path"]] for one in image["datasets"]]
            shapes = [tuple(array.shape) for array in arrays]  # a group has none
            scales = [_scale(one, image, len(axes)) for one in image["datasets"]]
            if not arrays:
                raise ValueError("its image has no levels")
            channels = _channels(attributes)
            self._whole = isinstance(attributes.get(KEY), Mapping)
        except _ERRORS as error:
            raise SlideError(
                f"Folder {path.name!r} is not an OME-Zarr image that can be read: "
                f"{_one_line(error)}; give the folder that holds its 'multiscales'."
            ) from error
        self._place = _Place(axes, path.name, channels)
        for array, shape in zip(arrays, shapes, strict=True):
            self._place.check(shape, str(array.dtype))
        self._arrays = arrays
        sizes = [(self._place.size(array), self._place.tile(array)) for array in arrays]
        found = pyramid_of([Candidate(*one) for one in sizes], self._stored_tile)
        self._arrays = [arrays[number] for number in found.numbers]
        self.levels, self.notes = found.levels, found.notes
        self.resolution = _resolution(described, scales[found.numbers[0]])
        self.properties: Mapping[str, str] = _properties(image, attributes)

    def read_tile(self, level: int, column: int, row: int) -> Pixels:
        """One tile, cut at the level's edge: (h, w, 3) RGB, uint8."""
        return self._tile(
            self._arrays[level], self.levels[level].size, self.levels[level].tile, column, row
        )

    def _stored_tile(self, number: int, column: int, row: int) -> Pixels:
        array = self._arrays[number]
        return self._tile(array, self._place.size(array), self._place.tile(array), column, row)

    def _tile(self, array: Any, size: Size, tile: Size, column: int, row: int) -> Pixels:
        x, y = column * tile.width, row * tile.height
        right, bottom = min(x + tile.width, size.width), min(y + tile.height, size.height)
        try:
            if self._whole:
                self._refuse_loss(array, x, y)
            return self._place.pixels(array, slice(y, bottom), slice(x, right))
        except _ERRORS as error:
            raise SlideError(
                f"Slide {self._name!r} cannot be read at tile {column},{row} of its "
                f"{size.width} × {size.height} image: {_one_line(error)}; copy it again."
            ) from error

    def _refuse_loss(self, array: Any, x: int, y: int) -> None:
        """Black chunks are written too, so that one that is missing is no black one."""
        if array.shards is None:
            chunk = self._place.chunk(array, x, y)
            (self._path / array.path / array.metadata.encode_chunk_key(chunk)).stat()

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

    def __init__(self, axes: Sequence[str], name: str, colours: Sequence[str | None]) -> None:
        self._axes, self._name, self._colours = axes, name, colours

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
        if self._order is None:
            raise SlideError(
                f"Slide {self._name!r} is a multi-channel image, whose channels are shown in "
                f"{', '.join(map(str, self._colours))} and not in red, green and blue; save one "
                "plane of it as RGB or greyscale and open that."
            )

    @property
    def _order(self) -> list[int] | None:
        """Which channels are red, green and blue; in order where the file does not say."""
        if None in self._colours or not self._colours:
            return [0, 1, 2]
        return (
            [self._colours.index(primary) for primary in _PRIMARIES]
            if sorted(self._colours, key=str) == sorted(_PRIMARIES)
            else None
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

    def chunk(self, array: Any, x: int, y: int) -> tuple[int, ...]:
        """Place of the chunk with a pixel in the grid of an array; its colours' first."""
        sides = dict(zip(self._axes, array.chunks, strict=True))
        where = {"x": x // sides["x"], "y": y // sides["y"]}
        return tuple(where.get(axis, 0) for axis in self._axes)

    def pixels(self, array: Any, rows: slice, columns: slice) -> Pixels:
        """(h, w, 3) of a rectangle."""
        where = {"y": rows, "x": columns, "c": slice(None)}
        found = np.asarray(array[tuple(where.get(axis, 0) for axis in self._axes)])
        left = [axis for axis in self._axes if axis in where]
        pixels = found.transpose([left.index(axis) for axis in "yxc"])
        return np.ascontiguousarray(pixels[..., self._order])


def _axis(axis: Any) -> Mapping[str, Any]:
    """An axis as of NGFF 0.4; 0.3 has letters alone."""
    return {"name": axis} if isinstance(axis, str) else axis


def _channels(attributes: Mapping[str, Any]) -> list[str | None]:
    """Colours that the channels are shown in, as RRGGBB."""
    omero = attributes.get("ome", attributes).get("omero") or {}
    colours = [channel.get("color") for channel in omero.get("channels") or ()]
    return [None if colour is None else str(colour).lstrip("#").upper()[:6] for colour in colours]


def _scale(dataset: Mapping[str, Any], image: Mapping[str, Any], axes: int) -> list[float] | None:
    """Of a level along each axis: its own scale, and then that of the whole image."""
    found = None
    for transforms in (dataset, image):
        for one in transforms.get("coordinateTransformations") or ():
            if one["type"] == "scale":
                found = found or [1.0] * axes
                scale = [float(value) for value in one["scale"]]
                found = [a * b for a, b in zip(found, scale, strict=True)]
    return found


def _resolution(axes: Sequence[Mapping[str, Any]], scale: Sequence[float] | None) -> Resolution:
    lengths: dict[str, float | None] = {}
    for axis, value in zip(axes, scale or (), strict=False):
        unit = str(axis.get("unit", ""))
        lengths[axis["name"]] = micrometres(value, _UNITS.get(unit, unit))
    return stated_resolution(lengths.get("x"), lengths.get("y"), "scale of the OME-Zarr")


def _properties(image: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, str]:
    found = {"zarr.Name": str(image.get("name", ""))}
    own = attributes.get(KEY)
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
