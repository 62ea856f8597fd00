"""The size that an encoded picture states of itself, read before it is decoded."""

from __future__ import annotations

import struct
from collections.abc import Callable

Stated = tuple[int, int, int]
"""Width, height and number of components."""

_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""JPEG's and JPEG-LS's start of frame."""
_JXR_WIDTH, _JXR_HEIGHT = 0xBC80, 0xBC81
_JXL_RATIOS = (None, (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def stated_size(data: bytes) -> Stated | None:
    """Size of a JPEG, JPEG-LS, JPEG 2000, JPEG XL, JPEG XR, WebP, PNG or LERC picture.

    Parameters
    ----------
    data : bytes
        The encoded picture; its beginning will do.

    Returns
    -------
    tuple of int or None
        Width, height and components; 4 where the header does not say. None for all else.

    Examples
    --------
    >>> stated_size(bytes.fromhex("ff4fff51002f0000 0000012c000000c8 0000000000000000"
    ...     "0000010000000100 0000000000000000 0003"))
    (300, 200, 3)
    """
    for start, read in _READERS:
        if data.startswith(start):
            try:
                return read(data)
            except (IndexError, struct.error):
                return None
    return None


def _jpeg(data: bytes) -> Stated | None:
    at = 2
    while True:
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _FRAMES:
            height, width, components = struct.unpack_from(">HHB", data, at + 5)
            return width, height, components
        elif marker == 0xD8 or 0xD0 <= marker <= 0xD7:
            at += 2
        else:
            at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])


def _jpeg2000(data: bytes) -> Stated | None:
    at = data.index(b"\xff\x4f\xff\x51") if b"\xff\x4f\xff\x51" in data else -1
    if at < 0:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    (components,) = struct.unpack_from(">H", data, at + 40)
    return right - left, bottom - top, components


def _png(data: bytes) -> Stated:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height, 4


def _webp(data: bytes) -> Stated | None:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        return None
    return width, height, 4


def _lerc(data: bytes) -> Stated:
    (version,) = struct.unpack_from("<i", data, 6)
    at = 10 if version < 3 else 14
    height, width = struct.unpack_from("<ii", data, at)
    depth = struct.unpack_from("<i", data, at + 8)[0] if version >= 4 else 1
    return width, height, depth


def _jpegxr(data: bytes) -> Stated | None:
    (place,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, place)
    found = {}
    for index in range(count):
        tag, kind, _, value = struct.unpack_from("<HHII", data, place + 2 + 12 * index)
        found[tag] = value & 0xFFFF if kind == 3 else value
    if _JXR_WIDTH not in found or _JXR_HEIGHT not in found:
        return None
    return found[_JXR_WIDTH], found[_JXR_HEIGHT], 4


def _jpegxl(data: bytes) -> Stated | None:
    if data[:2] != b"\xff\x0a":
        start = data.find(b"jxlc")
        if start < 0:
            start = data.find(b"jxlp") + 4
        if start < 4 or data[start + 4 : start + 6] != b"\xff\x0a":
            return None
        data = data[start + 4 :]
    bits = int.from_bytes(data[2:14], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    def side(small: int) -> int:
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    small = take(1)
    height = side(small)
    ratio = _JXL_RATIOS[take(3)]
    width = side(small) if ratio is None else height * ratio[0] // ratio[1]
    return width, height, 4


_READERS: tuple[tuple[bytes, Callable[[bytes], Stated | None]], ...] = (
    (b"\xff\xd8", _jpeg),
    (b"\xff\x4f\xff\x51", _jpeg2000),
    (b"\0\0\0\x0cjP  ", _jpeg2000),
    (b"\x89PNG", _png),
    (b"RIFF", _webp),
    (b"Lerc2 ", _lerc),
    (b"II\xbc", _jpegxr),
    (b"\xff\x0a", _jpegxl),
    (b"\0\0\0\x0cJXL ", _jpegxl),
)
"""By the first bytes."""
