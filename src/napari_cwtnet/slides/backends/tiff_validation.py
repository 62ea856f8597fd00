"""What has to be right in a TIFF file before OpenSlide or tifffile may read it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from napari_cwtnet.errors import SlideError
from napari_cwtnet.slides.backends.tiff_pages import cut_off
from napari_cwtnet.slides.decode_budget import MOST_IMAGES, check_decode, check_header

_WIDTH, _HEIGHT, _STRIP_BYTES, _TILE_WIDTH, _TILE_HEIGHT, _TILE_BYTES = 256, 257, 279, 322, 323, 325
_TAGS = (_WIDTH, _HEIGHT, _STRIP_BYTES, _TILE_WIDTH, _TILE_HEIGHT, _TILE_BYTES)
_CODES = {3: "H", 4: "I", 16: "Q"}
_SUBIFDS = 330
_READ_WHOLE = {270, 271, 272, 273, 279, 305, 306, 320, 324, 325, _SUBIFDS, 347, 34675, 50838, 50839}
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
           16: 8, 17: 8, 18: 8}  # fmt: skip
"""Bytes of a value, by TIFF's number of its type."""
_PIXELS_A_BYTE = 2**16
"""More than any compression makes of an image, or of one with few tiles that are not blank."""


def check_directories(path: Path) -> None:
    """Refuse a TIFF file with more images, or longer tags, than any slide has.

    Parameters
    ----------
    path : Path
        The file. What cannot be followed in it is left to its reader.

    Raises
    ------
    SlideError
        If there are too many images, or too much metadata.
    """
    try:
        with path.open("rb") as file:
            for _ in _directories(file, path.stat().st_size, path.name):
                pass
    except (OSError, struct.error):
        return


def refuse_absurd_sizes(path: Path, vendor: str | None = None) -> None:
    """Refuse a TIFF file with tiles larger than the file, or images beyond all sense.

    OpenSlide asks for as much memory as the directories say, and where there is not as much, the
    process ends. What cannot be followed here is left to OpenSlide.

    Parameters
    ----------
    path : Path
        The file.
    vendor : str, optional
        What OpenSlide takes it for.

    Raises
    ------
    SlideError
        If there is such a tile or image, or levels that cannot be of one image.
    """
    tiled = []
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            for numbers in _directories(file, size, path.name):
                _check(numbers, path.name, size)
                if _TILE_BYTES in numbers:
                    tiled.append(_sides(numbers, _WIDTH, _HEIGHT))
    except (OSError, struct.error):
        return
    # OpenSlide divides by zero where one level is far wider than another, and far lower.
    if vendor == "aperio" and tiled and tuple(map(max, zip(*tiled, strict=True))) not in tiled:
        sizes = ", ".join(f"{width} × {height}" for width, height in tiled)
        raise SlideError(
            f"Slide {path.name!r} is damaged: its levels of {sizes} pixels are not of one image; "
            "copy the file again from its source."
        )


def _check(numbers: dict[int, tuple[int, ...]], name: str, size: int) -> None:
    largest = max((*numbers.get(_STRIP_BYTES, ()), *numbers.get(_TILE_BYTES, ())), default=0)
    if largest > size:
        raise cut_off(name, size, largest)
    tile = _sides(numbers, _TILE_WIDTH, _TILE_HEIGHT)
    # OpenSlide decodes to four bytes a pixel.
    check_decode(name, f"a tile of {tile[0]} × {tile[1]} pixels", 4 * tile[0] * tile[1])
    width, height = _sides(numbers, _WIDTH, _HEIGHT)
    if width * height > size * _PIXELS_A_BYTE:
        raise SlideError(
            f"Slide {name!r} is damaged: it states an image of {width} × {height} pixels in a file "
            f"of {size} bytes; copy the file again from its source."
        )


def _sides(numbers: dict[int, tuple[int, ...]], *tags: int) -> tuple[int, int]:
    width, height = (max(numbers.get(tag, ()), default=0) for tag in tags)
    return width, height


def _directories(file: BinaryIO, size: int, name: str) -> Iterator[dict[int, tuple[int, ...]]]:
    """The sizes that each directory of the main chain states, by tag."""
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None:
        return
    big = struct.unpack(f"{order}H", start[2:4]) == (43,)
    word, count_code, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    width, seen = struct.calcsize(word), set[int]()
    (place,) = struct.unpack_from(f"{order}{word}", start, 8 if big else 4)
    images = 0
    while 0 < place < size and place not in seen:
        seen.add(place)
        file.seek(place)
        count_size = struct.calcsize(count_code)
        (count,) = struct.unpack(f"{order}{count_code}", file.read(count_size))
        if count * entry > size:
            return
        entries, following = file.read(count * entry), file.read(width)
        each = [entries[at : at + entry] for at in range(0, len(entries), entry)]
        images += 1 + sum(_check_length(one, f"{order}HH{word}", name) for one in each)
        if images > MOST_IMAGES:
            raise SlideError(
                f"Slide {name!r} has more than {MOST_IMAGES} images; save the one that you mean as "
                "a file of its own."
            )
        yield {
            struct.unpack_from(f"{order}H", one)[0]: values
            for one in each
            if (values := _values(file, size, order, word, one))
        }
        (place,) = struct.unpack(f"{order}{word}", following)


def _check_length(entry: bytes, form: str, name: str) -> int:
    """Number of SubIFDs that an entry states; refuses metadata of absurd length."""
    tag, kind, count = struct.unpack_from(form, entry)
    if tag in _READ_WHOLE:
        check_header(name, f"metadata in its tag {tag}", count * _WIDTHS.get(kind, 1))
    return count if tag == _SUBIFDS else 0


def _values(file: BinaryIO, size: int, order: str, word: str, entry: bytes) -> tuple[int, ...]:
    """Numbers of an entry that states sizes; nothing for others."""
    tag, kind, count = struct.unpack_from(f"{order}HH{word}", entry)
    if tag not in _TAGS or kind not in _CODES:
        return ()
    data, length = entry[4 + struct.calcsize(word) :], count * struct.calcsize(_CODES[kind])
    if length > size:
        return ()
    if length > len(data):
        file.seek(struct.unpack(f"{order}{word}", data)[0])
        data = file.read(length)
    return struct.unpack(f"{order}{count}{_CODES[kind]}", data[:length])
