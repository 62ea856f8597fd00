"""A computed image as DICOM: a folder with one whole-slide instance for each level, lossless."""

from __future__ import annotations

import importlib.util
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.errors import OutputError, SlideError
from napari_cwtnet.export.dicom_header import TILE, make_header
from napari_cwtnet.export.pyramid import Count
from napari_cwtnet.files import is_real_folder
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.provenance_tags import KEY

if TYPE_CHECKING:
    from napari_cwtnet.export.record import Image

_AT_ONCE = 16
"""Tiles in memory."""
_OWN = re.compile(r"level-(\d+)\.dcm")
_OF_THE_SYSTEM = {".DS_Store", "Thumbs.db", "desktop.ini"}
_SHORT_OFFSETS = 2**32
"""Bytes of frames; what lies further on needs the extended table of offsets."""
_WORST = 1.5
"""Bytes of a compressed frame for each of the raw one: noise does not become smaller."""
_ITEM, _END = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_ITEM_HEAD = struct.Struct("<HHI")
_LONG_HEAD = struct.Struct("<HH2sHI")


def check_dicom(mpp: float | None) -> None:
    """Refuse what DICOM cannot hold, before it is computed.

    Raises
    ------
    OutputError
        If pydicom is not installed, or there is no pixel size (µm), which DICOM asks for.
    """
    check_pydicom()
    if mpp is None:
        raise OutputError(
            "DICOM needs the pixel size, and the slide does not say it; give it (--mpp, or in "
            "the Slide dock), or choose .ome.tif or .ome.zarr."
        )


def check_pydicom() -> None:
    """Raise if pydicom is not installed.

    Raises
    ------
    OutputError
        If pydicom is not installed.
    """
    if importlib.util.find_spec("pydicom") is None:
        raise OutputError('DICOM needs pydicom; install it by: pip install "napari-cwtnet[dicom]".')


def write_dicom(
    path: Path,
    levels: Sequence[Image],
    provenance: Mapping[str, Any],
    mpp: float | None,
    count: Count,
) -> None:
    """Write levels ``(height, width, 3)`` uint8 RGB, finest first, as files of one series.

    Parameters
    ----------
    path : Path
        New folder; gets ``level-0.dcm`` and so on.
    levels : sequence of Image
        Each half as large as the one before.
    provenance : mapping
        JSON values; ``badge`` names the image.
    mpp : float or None
        µm per pixel of the first.
    count : Count
        Called for every tile.

    Raises
    ------
    OutputError
        If there is no pixel size, no pydicom, or the provenance is too long for DICOM.
    """
    check_dicom(mpp)
    assert mpp is not None
    import pydicom

    count.total = sum(_frame_count(level) for level in levels)
    path.mkdir()
    with ThreadPoolExecutor() as threads:
        for number, level in enumerate(levels):
            with (path / f"level-{number}.dcm").open("w+b") as file:
                size = Size(level.shape[1], level.shape[0])
                header = make_header(number, size, _frame_count(level), provenance, mpp)
                pydicom.dcmwrite(file, header, enforce_file_format=True)
                _write_frames(file, level, threads, count)


def is_computed_dicom(path: Path) -> bool:
    """Whether a folder holds the files of one image of this package and nothing else."""
    try:
        if not is_real_folder(path):
            return False
        inside = [one for one in path.iterdir() if one.name not in _OF_THE_SYSTEM]
        return bool(inside) and all(
            _OWN.fullmatch(one.name) and not one.is_symlink() and _is_own(one) for one in inside
        )
    except OSError:
        return False


def _is_own(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(2**16)
    return head[128:132] == b"DICM" and KEY.encode() in head


def stored_levels(path: Path) -> list[StoredLevel]:
    """The levels of a folder that :func:`write_dicom` made, as they are stored.

    OpenSlide interpolates a level whose downsample is not whole.

    Raises
    ------
    SlideError
        If a file cannot be read.
    """
    found = sorted(
        (int(match[1]), one) for one in path.iterdir() if (match := _OWN.fullmatch(one.name))
    )
    return [StoredLevel(one) for _, one in found]


class StoredLevel:
    """A level ``(height, width, 3)`` of which one rectangle at a time is in memory.

    Parameters
    ----------
    path : Path
        One of the files of :func:`write_dicom`.

    Raises
    ------
    SlideError
        If it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        check_pydicom()
        import pydicom

        self._path = path
        try:
            with path.open("rb") as file:
                head = pydicom.dcmread(file, stop_before_pixels=True)
                file.seek(_LONG_HEAD.size, 1)
                _, _, length = _ITEM_HEAD.unpack(file.read(_ITEM_HEAD.size))
                short = file.read(length)
                self._first = file.tell()
            long = bytes(head.get("ExtendedOffsetTable", b""))
            count = int(head.NumberOfFrames)
            self._offsets = struct.unpack(f"<{count}{'Q' if long else 'I'}", long or short)
            size = Size(int(head.TotalPixelMatrixColumns), int(head.TotalPixelMatrixRows))
        except _ERRORS as error:
            raise self._broken(error) from error
        self._across = -(-size.width // TILE)
        self.shape = (size.height, size.width, 3)

    def __getitem__(self, place: tuple[slice, slice], /) -> NDArray[np.uint8]:
        """The pixels of a rectangle; cut at the level's edge."""
        (top, bottom), (left, right) = (
            (one.start, min(one.stop, side)) for one, side in zip(place, self.shape, strict=False)
        )
        rows, columns = (
            range(top // TILE, -(-bottom // TILE)),
            range(left // TILE, -(-right // TILE)),
        )
        try:
            with self._path.open("rb") as file:
                found = [[self._frame(file, row, column) for column in columns] for row in rows]
            whole = np.concatenate([np.concatenate(line, axis=1) for line in found])
        except _ERRORS as error:
            raise self._broken(error) from error
        y, x = top - rows.start * TILE, left - columns.start * TILE
        return whole[y : y + bottom - top, x : x + right - left]

    def _frame(self, file: BinaryIO, row: int, column: int) -> NDArray[np.uint8]:
        file.seek(self._first + self._offsets[row * self._across + column])
        group, element, length = _ITEM_HEAD.unpack(file.read(_ITEM_HEAD.size))
        if (group, element) != _ITEM:
            raise ValueError("a frame is not where the table of frames says")
        return np.asarray(imagecodecs.jpeg2k_decode(file.read(length)), np.uint8)

    def _broken(self, error: Exception) -> SlideError:
        return SlideError(f"File {self._path.name!r} of the image cannot be read: {error}.")


_ERRORS = (OSError, ValueError, KeyError, AttributeError, IndexError, struct.error, RuntimeError)
# pydicom's errors derive from these, and so does the decoder's.


def _frame_count(level: Image) -> int:
    height, width = level.shape[:2]
    return int(-(-height // TILE) * -(-width // TILE))


def _write_frames(file: BinaryIO, level: Image, threads: ThreadPoolExecutor, count: Count) -> None:
    """The pixels after the header; the tables of frames are filled in at the end."""
    frames = _frame_count(level)
    long = frames * 3 * TILE**2 * _WORST >= _SHORT_OFFSETS
    begin = file.seek(0, 2)
    if long:
        for element in (1, 2):
            file.write(_LONG_HEAD.pack(0x7FE0, element, b"OV", 0, 8 * frames) + bytes(8 * frames))
    file.write(_LONG_HEAD.pack(0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF))
    table = 0 if long else 4 * frames
    file.write(_ITEM_HEAD.pack(*_ITEM, table) + bytes(table))
    first, offsets, lengths = file.tell(), [], []
    tiles = _tiles(level)
    while batch := list(islice(tiles, _AT_ONCE)):
        for frame in threads.map(_encoded, batch):
            offsets.append(file.tell() - first)
            lengths.append(len(frame))
            file.write(_ITEM_HEAD.pack(*_ITEM, len(frame)) + frame)
            count.one_more()
    file.write(_ITEM_HEAD.pack(*_END, 0))
    if long:
        for values, at in ((offsets, begin), (lengths, begin + _LONG_HEAD.size + 8 * frames)):
            file.seek(at + _LONG_HEAD.size)
            file.write(struct.pack(f"<{frames}Q", *values))
    else:
        file.seek(first - table)
        file.write(struct.pack(f"<{frames}I", *offsets))


def _encoded(tile: NDArray[np.uint8]) -> bytes:
    found = bytes(
        imagecodecs.jpeg2k_encode(tile, level=0, codecformat="j2k", reversible=True, mct=True)
    )
    return found + b"\0" * (len(found) % 2)


def _tiles(level: Image) -> Iterator[NDArray[np.uint8]]:
    """Whole tiles, row by row; beyond the image its last row and column are repeated."""
    height, width = level.shape[:2]
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            tile = level[top : top + TILE, left : left + TILE]
            missing = tuple((0, TILE - side) for side in tile.shape[:2])
            yield np.ascontiguousarray(np.pad(tile, (*missing, (0, 0)), mode="edge"))
