"""OME-Zarr (NGFF 0.1 to 0.6) in folders and zip files, through zarr: pyramids of RGB."""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.errors import SlideError
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.backend import WHITE, Colour, Pixels, chosen_image
from napari_cwtnet.slides.backends.tiff_pages import range_note
from napari_cwtnet.slides.colour import to_uint8
from napari_cwtnet.slides.compression import Encoding
from napari_cwtnet.slides.decode_budget import MOST_IMAGES, check_decode, is_regular_file
from napari_cwtnet.slides.fork_safety import renewed_after_fork
from napari_cwtnet.slides.provenance_tags import KEY
from napari_cwtnet.slides.pyramid import Candidate, pyramid_of
from napari_cwtnet.slides.resolution import Resolution, micrometres, stated_resolution

if TYPE_CHECKING:
    from napari_cwtnet.slides.backends.zarr_store import Chunks, GuardedStore

_LARGEST_TILE = 1024
_GROUP_FILES = ("zarr.json", ".zgroup")
_ZIP_SUFFIXES = (".zip", ".ozx")
_LAYOUT = "bioformats2raw.layout"
_MOST_LEVELS = 64
_UNITS = {
    "picometer": "pm", "angstrom": "å", "nanometer": "nm", "micrometer": "µm", "millimeter": "mm",
    "centimeter": "cm", "meter": "m",
}  # fmt: skip
"""As NGFF names them, and as OME-XML does."""
_LOSSLESS = {
    "blosc", "bytes", "bz2", "crc32", "crc32c", "delta", "gzip", "lz4", "lzma", "sharding_indexed",
    "shuffle", "transpose", "zlib", "zstd",
}  # fmt: skip
_HARMLESS = _LOSSLESS | {
    "adler32", "astype", "bitround", "cast_value", "fixedscaleoffset", "fletcher32",
    "jenkins_lookup3", "packbits", "quantize", "scale_offset", "zfpy", "pcodec",
}  # fmt: skip
"""Others, such as ``pickle``, may run what the file says."""
_MAXIMA = {"uint8": 255, "uint16": 65535}
_PRIMARIES = ("FF0000", "00FF00", "0000FF")
_OLD_AXES = tuple("tczyx")
"""Of NGFF 0.1 and 0.2, which do not name them."""
_IDENTITY_TILES = 16
_ERRORS = (
    ArithmeticError, AttributeError, IndexError, KeyError, OSError, RuntimeError, TypeError,
    ValueError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
# What zarr raises of its own derives from these, as do the decoders' errors.


def is_zarr(path: Path) -> bool:
    """Whether a folder or zip file is a Zarr group; False where it cannot be looked into."""
    if os.path.isdir(path):  # noqa: PTH112
        return any(os.path.isfile(path / name) for name in _GROUP_FILES)  # noqa: PTH113
    if not is_regular_file(path) or path.suffix.lower() not in _ZIP_SUFFIXES:
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name in archive.NameToInfo for name in _GROUP_FILES)
    except (OSError, RuntimeError, ValueError, zipfile.BadZipFile):
        return False


def is_rgb_zarr(path: Path) -> bool:
    """Whether a folder says of itself that it is what :class:`ZarrBackend` takes."""
    try:
        return is_zarr(path) and bool(ZarrBackend(path).levels)
    except SlideError:
        return False


class ZarrBackend:
    """One multiscale image of an OME-Zarr.

    Parameters
    ----------
    path : Path
        The folder, or a zip file of it.
    image : int, optional
        Which of several images, from 0; the first if left out.

    Raises
    ------
    SlideError
        If it is no OME-Zarr, or its image is not one plane of RGB of 8 or 16 bits.
    RequestError
        If it has no such image.
    """

    background: Colour = WHITE
    format = "ome-zarr"
    icc_profile: bytes | None = None
    origin = (0, 0)
    default_image: int | None = 0

    def __init__(self, path: Path, image: int | None = None) -> None:
        # Takes a third of a second, which files of other kinds need not wait for.
        from napari_cwtnet.slides.backends.zarr_store import open_store

        self._name, self._path = path.name, path
        self.image = 0
        try:
            store = self._store = open_store(path)
            found = _images(store)
            self.images = tuple(name or "the image" for name, _, _ in found)
            self.image = chosen_image(path.name, image, len(found))
            _, group, number = found[self.image]
            attributes = dict(group.attrs)
            content: Any = attributes.get("ome", attributes)["multiscales"][number]
            described = [_axis(axis) for axis in _axes(content)]
            axes = [axis["name"] for axis in described]
            datasets = content["datasets"]
            if len(datasets) > _MOST_LEVELS:
                raise ValueError(f"its image has {len(datasets)} levels")
            arrays: list[Any] = [group[one["path"]] for one in datasets]
            shapes = [tuple(array.shape) for array in arrays]  # a group has none
            scales = [_scale(one, content, len(axes)) for one in datasets]
            if not arrays:
                raise ValueError("its image has no levels")
            channels = _channels(attributes)
            self._whole = path.is_dir() and isinstance(attributes.get(KEY), Mapping)
        except _ERRORS as error:
            raise SlideError(
                f"{'Folder' if path.is_dir() else 'File'} {path.name!r} is not an OME-Zarr image "
                f"that can be read: {_one_line(error)}; give the folder that holds its "
                "'multiscales'."
            ) from error
        self._place = _Place(axes, path.name, channels)
        for array, shape in zip(arrays, shapes, strict=True):
            self._place.check(shape, array.dtype.name)
            store.arrays[array.path] = _chunks(array, path.name)
        self._arrays = arrays
        sizes = [(self._place.size(array), self._place.tile(array)) for array in arrays]
        pyramid = pyramid_of([Candidate(*one) for one in sizes], self._stored_tile)
        self._arrays = [arrays[number] for number in pyramid.numbers]
        self.levels = pyramid.levels
        self.notes = (*pyramid.notes, *self._range())
        self.resolution = _resolution(described, scales[pyramid.numbers[0]])
        self.properties: Mapping[str, str] = _properties(content, attributes)
        renewed_after_fork(self)

    def renew_after_fork(self) -> None:
        """Read through a zip file of this process."""
        self._store.reopen()

    def _range(self) -> Iterator[str]:
        """Of 16-bit samples, by the coarsest level."""
        coarsest = self._arrays[-1]
        if coarsest.dtype.name == "uint16":
            tile, size = self._place.tile(coarsest), self._place.size(coarsest)
            where = slice(0, min(tile.height, size.height)), slice(0, min(tile.width, size.width))
            try:
                largest = int(self._place.samples(coarsest, *where).max())
            except _ERRORS:
                return
            yield from range_note(largest, 65535)

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
                f"{size.width} × {size.height} image: {_one_line(error)}; copy it again from its "
                "source."
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
        """Let go of the arrays, and of a zip file; of a folder none is open between two reads."""
        self._arrays.clear()
        self._store.close()


class _Place:
    """Where rows, columns and colours are in an array of any axes."""

    def __init__(self, axes: Sequence[str], name: str, colours: Sequence[str | None]) -> None:
        self._axes, self._name, self._colours = axes, name, colours

    def check(self, shape: Sequence[int], dtype: str) -> None:
        """Refuse what is not one plane of RGB of 8 or 16 bits, or is empty."""
        axes, sizes = self._axes, dict(zip(self._axes, shape, strict=False))
        others = {axis: n for axis, n in sizes.items() if axis not in ("c", "y", "x") and n != 1}
        plane = len(axes) == len(shape) and {"y", "x"} <= sizes.keys() and not others
        if not plane or sizes.get("c") != 3 or dtype not in _MAXIMA or 0 in shape:
            told = " × ".join(f"{n} {axis}" for axis, n in sizes.items())
            raise SlideError(
                f"Slide {self._name!r} is not one plane of RGB of 8 or 16 bits ({told}, {dtype}); "
                "save it as such."
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
        return Size(min(found["x"], _LARGEST_TILE), min(found["y"], _LARGEST_TILE))

    def chunk(self, array: Any, x: int, y: int) -> tuple[int, ...]:
        """Place of the chunk with a pixel in the grid of an array; its colours' first."""
        sides = dict(zip(self._axes, array.chunks, strict=True))
        where = {"x": x // sides["x"], "y": y // sides["y"]}
        return tuple(where.get(axis, 0) for axis in self._axes)

    def pixels(self, array: Any, rows: slice, columns: slice) -> Pixels:
        """(h, w, 3) uint8 of a rectangle."""
        samples = self.samples(array, rows, columns)
        return to_uint8(np.ascontiguousarray(samples), _MAXIMA[array.dtype.name])

    def samples(self, array: Any, rows: slice, columns: slice) -> NDArray[Any]:
        """(h, w, 3) of a rectangle, as stored."""
        where = {"y": rows, "x": columns, "c": slice(None)}
        found = np.asarray(array[tuple(where.get(axis, 0) for axis in self._axes)])
        left = [axis for axis in self._axes if axis in where]
        return np.asarray(found.transpose([left.index(axis) for axis in "yxc"])[..., self._order])


def _images(store: GuardedStore) -> list[tuple[str, Any, int]]:
    """Name, group and number of each multiscale image: of the root, or of bioformats2raw's."""
    import zarr

    group: Any = zarr.open_group(store, mode="r")
    attributes = dict(group.attrs)
    own = attributes.get("ome", attributes)
    if "multiscales" in own or _LAYOUT not in own:
        count = len(own["multiscales"])
        return [(str(own["multiscales"][i].get("name") or ""), group, i) for i in range(count)]
    series: Any = None
    if "OME" in group:
        listed = dict(group["OME"].attrs)
        series = listed.get("ome", listed).get("series")
    found = []
    for name in series or (str(i) for i in range(MOST_IMAGES)):
        if name not in group:
            break
        found.append((str(name), group[name], 0))
    if not found:
        raise ValueError("no series is in it")
    return found


def _chunks(array: Any, name: str) -> Chunks:
    """How large and how compressed the chunks of an array are.

    Raises
    ------
    SlideError
        If they are too large, or of a kind that is not opened.
    """
    from napari_cwtnet.slides.backends.zarr_store import COMPRESSORS, Chunks

    codecs = list(_codecs(array.metadata.to_dict()))
    others = sorted({codec for codec in codecs if codec not in _HARMLESS})
    if others:
        raise SlideError(
            f"Slide {name!r} is encoded by {', '.join(others)[:100]}, which is not read; save it "
            "with Zstandard, Blosc or zlib."
        )
    compressors = [codec for codec in codecs if codec in COMPRESSORS]
    if len(compressors) > 1:
        raise SlideError(
            f"Slide {name!r} is compressed more than once ({', '.join(compressors)[:100]}); save "
            "it with one of them."
        )
    if any(side < 1 for side in array.chunks):
        raise SlideError(f"Slide {name!r} is damaged: its chunks have a side of 0; save it again.")
    nbytes = math.prod(array.chunks) * array.dtype.itemsize
    sides = " × ".join(map(str, array.chunks))
    check_decode(name, f"a chunk of {sides} samples", 2 * nbytes)
    in_shard = 0
    if array.shards is not None:
        shards = zip(array.shards, array.chunks, strict=True)
        in_shard = math.prod(-(-whole // part) for whole, part in shards)
        check_decode(name, f"the index of a shard of {in_shard} chunks", 64 * in_shard)
    return Chunks(nbytes, compressors[0] if compressors else None, in_shard)


def _axes(image: Mapping[str, Any]) -> Sequence[Any]:
    """Of the image itself; since NGFF 0.6 of its first coordinate system."""
    systems = image.get("coordinateSystems")
    found = image.get("axes") or (systems[0]["axes"] if systems else _OLD_AXES)
    return list(found)


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
        listed = transforms.get("coordinateTransformations") or ()
        for one in (part for each in listed for part in each.get("transformations", (each,))):
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
