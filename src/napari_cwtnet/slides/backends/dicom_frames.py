"""The first frames of DICOM slides as they lie in the file: OpenSlide gives decoded pixels only."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.compression import HEAD_BYTES, Codec, Encoding, tissue_rate
from napari_cwtnet.slides.decode_budget import is_regular_file

_CODECS: dict[str, Codec] = {
    "1.2.840.10008.1.2.1": "lossless",
    "1.2.840.10008.1.2.4.50": "jpeg",
    "1.2.840.10008.1.2.4.51": "jpeg",
    "1.2.840.10008.1.2.4.57": "jpeg",
    "1.2.840.10008.1.2.4.70": "jpeg",
    "1.2.840.10008.1.2.4.80": "lossless",
    "1.2.840.10008.1.2.4.81": "lossy",
    "1.2.840.10008.1.2.4.90": "jpeg2000",
    "1.2.840.10008.1.2.4.91": "jpeg2000",
    "1.2.840.10008.1.2.5": "lossless",
}
"""By transfer syntax. JPEG and JPEG 2000 tell by their own headers whether they are lossless."""

_MOST_HEADER = 2**24
"""Bytes before the pixels; a table of frames can be long."""
_PIXEL_KINDS = (b"OB\0\0", b"OW\0\0")
_MOST_FILES = 512
_MOST_ITEMS = 4096
_TRANSFER_SYNTAX, _IMAGE_TYPE = (0x0002, 0x0010), (0x0008, 0x0008)
_SERIES = (0x0020, 0x000E)
_WHOLE_SLIDE = b"1.2.840.10008.5.1.4.1.1.77.1.6"
_MOST_UIDS = 2**16
"""Bytes in which the UIDs of a file come."""
_COLUMNS, _ROWS = (0x0048, 0x0006), (0x0048, 0x0007)
_TILE_ROWS, _TILE_COLUMNS = (0x0028, 0x0010), (0x0028, 0x0011)
_ITEM = (0xFFFE, 0xE000)
_PIXEL_DATA = struct.pack("<HH", 0x7FE0, 0x0010)


def dicom_series(folder: Path) -> dict[str, Path]:
    """UID of each series of slides in a folder, and one of its files.

    Raises
    ------
    OSError
        If the folder cannot be listed.
    """
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir())[:_MOST_FILES]:
        if not is_regular_file(file):
            continue
        try:
            with file.open("rb") as content:
                head = content.read(_MOST_UIDS)
        except OSError:
            continue
        if head[128:132] == b"DICM" and _WHOLE_SLIDE in head:
            uid = _text(head, _SERIES, b"UI").rstrip(b"\0 ").decode("ascii", "replace")
            found.setdefault(uid, file)
    return found


def dicom_encoding(path: Path, series: str, size: Size) -> Encoding | None:
    """Of the slide's level of a size; None where no file beside ``path`` is found to hold it.

    Parameters
    ----------
    path : Path
        Any file of the slide; the others lie in its folder.
    series : str
        UID of the series that they belong to.
    size : Size
        Of the level, in pixels.
    """
    files = [path, *(other for other in sorted(path.parent.iterdir()) if other != path)]
    for file in filter(is_regular_file, files[:_MOST_FILES]):  # a pipe would be waited for
        try:
            found = _encoding(file, series, size)
        except (OSError, ValueError, struct.error):
            continue
        if found is not None:
            return found
    return None


def _encoding(path: Path, series: str, size: Size) -> Encoding | None:
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            # All that is wanted of the header has an explicit type, by which it is found.
            starts = (data.find(_PIXEL_DATA + kind, 0, _MOST_HEADER) for kind in _PIXEL_KINDS)
            pixels = min((start for start in starts if start > 0), default=-1)
            header = data[:pixels] if pixels > 0 else b""
            if series.encode() not in header or b"VOLUME" not in _text(header, _IMAGE_TYPE, b"CS"):
                return None
            if (_number(header, _COLUMNS, b"UL"), _number(header, _ROWS, b"UL")) != size:
                return None
            syntax = _text(header, _TRANSFER_SYNTAX, b"UI").rstrip(b"\0 ").decode("ascii")
            codec = _CODECS.get(syntax)
            if codec is None:
                return None
            if codec not in ("jpeg", "jpeg2000"):
                return Encoding(codec)
            frames = list(_frames(data, pixels + 12))
            tile = _number(header, _TILE_ROWS, b"US") * _number(header, _TILE_COLUMNS, b"US")
            tiles = tuple(data[start : start + min(n, HEAD_BYTES)] for start, n in frames[:2])
    return Encoding(codec, tiles=tiles, rate=tissue_rate([n for _, n in frames], tile))


def _frames(data: mmap.mmap, at: int) -> Iterator[tuple[int, int]]:
    """Start and length of encapsulated fragments that are not empty, of some thousands at most."""
    for index in range(_MOST_ITEMS):
        if at + 8 > len(data):
            return
        group, element, length = struct.unpack_from("<HHI", data, at)
        if (group, element) != _ITEM or at + 8 + length > len(data):
            return
        if index > 0 and length:  # the first item is the table of offsets
            yield at + 8, length
        at += 8 + length


def _number(header: bytes, tag: tuple[int, int], kind: bytes) -> int:
    return int.from_bytes(_text(header, tag, kind), "little")


def _text(header: bytes, tag: tuple[int, int], kind: bytes) -> bytes:
    """Value of an element of short length, by its tag and type; empty where there is none."""
    place = header.find(struct.pack("<HH", *tag) + kind)
    if place < 0:
        return b""
    (length,) = struct.unpack_from("<H", header, place + 6)
    return header[place + 8 : place + 8 + length]
