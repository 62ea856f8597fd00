"""Generic TIFF, OME-TIFF and SubIFD pyramids, through tifffile."""

from __future__ import annotations

import logging
import math
import os
import struct
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from tifffile import TiffFile, TiffFrame, TiffPage, TiffPageSeries

from napari_cwtnet.errors import SlideError
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.backend import WHITE, Colour, Pixels
from napari_cwtnet.slides.compression import Encoding
from napari_cwtnet.slides.levels import Level, exact_downsample
from napari_cwtnet.slides.resolution import (
    Resolution,
    micrometres,
    ome_resolution,
    stated_resolution,
    tag_resolution,
)
from napari_cwtnet.slides.tiff_pages import DECODE_ERRORS, PageTiles, cut_off

# What tifffile would print on stderr of a damaged file is said by the error that follows.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_IDENTITY_TILES = 64
_IDENTITY_BYTES = 4 * 2**20
_TEXT_TAGS = ("ImageDescription", "Make", "Model", "Software", "DateTime")


class TiffBackend:
    """A TIFF file's largest image and its reduced copies.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    SlideError
        If it is no TIFF that can be read, or a stack or multi-channel image.
    """

    background: Colour = WHITE

    def __init__(self, path: Path) -> None:
        self._name = path.name
        try:
            self._file = TiffFile(path)
        except DECODE_ERRORS as error:
            raise self._broken(error) from error
        try:
            self._check_directories()
            series = max(self._file.series, key=_area)
            self._check_plane(series)
            lock = threading.Lock()
            self._pages = [PageTiles(page, lock, path.name) for page in _pages(series)]
            first = _page(series.levels[0])
            self.format = "ome-tiff" if self._file.is_ome else "tiff"
            self.levels = _levels(self._pages)
            self._pages = self._pages[: len(self.levels)]
            self.resolution = _resolution(self._file, first, self.levels[0].size)
            self.properties: Mapping[str, str] = _properties(first)
            self.icc_profile = _icc_profile(first)
        except SlideError:
            self._file.close()
            raise
        except DECODE_ERRORS as error:
            self._file.close()
            raise self._broken(error) from error

    def read_tile(self, level: int, column: int, row: int) -> Pixels:
        """One tile, cut at the level's edge: (h, w, 3) RGB or (h, w, 4) RGBA, uint8."""
        return self._pages[level].read_tile(column, row)

    def encoding(self, level: int) -> Encoding | None:
        """How the tiles of a level are encoded; None where that is not known."""
        return self._pages[level].encoding()

    def identity(self) -> Iterator[bytes]:
        """Sizes of the encoded tiles of every level, and bytes of a spread of them."""
        for page in self._pages:
            yield from page.identity(_IDENTITY_TILES, _IDENTITY_BYTES)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _check_directories(self) -> None:
        # A chain of directories that leads beyond the file has lost levels: they come last.
        layout, handle = self._file.tiff, self._file.filehandle
        handle.seek(self._file.pages[-1].offset)
        (tags,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
        handle.seek(tags * layout.tagsize, os.SEEK_CUR)
        (following,) = struct.unpack(layout.offsetformat, handle.read(layout.offsetsize))
        if following >= handle.size:
            raise cut_off(self._name, handle.size, following)

    def _check_plane(self, series: TiffPageSeries) -> None:
        page = _page(series)
        plane = page.imagewidth * page.imagelength * page.samplesperpixel
        # ImageJ and tifffile itself write a stack as a single page and a shape.
        if len(series.levels[0].pages) > 1 or math.prod(series.shape) > plane * page.imagedepth:
            axes = " × ".join(
                f"{length} {axis}" for axis, length in zip(series.axes, series.shape, strict=True)
            )
            raise SlideError(
                f"Slide {self._name!r} is a stack or multi-channel image ({axes}); "
                "save one plane of it as RGB or greyscale and open that."
            )
        if page.imagewidth * page.imagelength == 0:
            raise SlideError(f"Slide {self._name!r} has an image without pixels; copy it again.")

    def _broken(self, error: BaseException) -> SlideError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return SlideError(
            f"Slide {self._name!r} is not a TIFF file that can be read: {reason}; "
            "copy the file again from its source or convert it to a tiled TIFF."
        )


def _area(series: TiffPageSeries) -> int:
    page = _page(series)
    return page.imagewidth * page.imagelength


def _page(series: TiffPageSeries) -> TiffPage:
    page = series.levels[0].pages[0]
    if isinstance(page, TiffFrame):
        page = page.aspage()
    if not isinstance(page, TiffPage):
        raise ValueError("its first page is missing")
    return page


def _pages(series: TiffPageSeries) -> list[TiffPage]:
    return [_page(level) for level in series.levels]


def _levels(pages: list[PageTiles]) -> tuple[Level, ...]:
    finest = pages[0].size
    levels = [Level(1.0, finest, pages[0].tile)]
    for page in pages[1:]:
        factor = exact_downsample(finest, page.size)
        if factor <= levels[-1].downsample or not _same_shape(finest, page.size, factor):
            break
        levels.append(Level(factor, page.size, page.tile))
    return tuple(levels)


def _same_shape(finest: Size, size: Size, factor: float) -> bool:
    return all(abs(whole / factor - part) <= 2 for whole, part in zip(finest, size, strict=True))


def _resolution(file: TiffFile, page: TiffPage, size: Size) -> Resolution:
    if file.is_ome and file.ome_metadata:
        return ome_resolution(file.ome_metadata, size)
    x, y = page.resolution
    unit = int(page.resolutionunit)
    # ImageJ keeps its unit in the description, and pixels per that unit in the tags.
    named = str((file.imagej_metadata or {}).get("unit", "")) if file.is_imagej else ""
    named = named.encode().decode("unicode_escape") if "\\u" in named else named
    if named and x > 0 and y > 0 and micrometres(1, named) is not None:
        return stated_resolution(
            micrometres(1 / x, named), micrometres(1 / y, named), "ImageJ pixel size"
        )
    return tag_resolution(float(x), float(y), unit)


def _properties(page: TiffPage) -> dict[str, str]:
    found = {name: page.tags.get(name) for name in _TEXT_TAGS}
    texts = {f"tiff.{name}": str(tag.value) for name, tag in found.items() if tag is not None}
    compression = getattr(page.compression, "name", str(page.compression))
    return {**texts, "tiff.Compression": compression}


def _icc_profile(page: TiffPage) -> bytes | None:
    tag = page.tags.get("InterColorProfile")
    return bytes(tag.value) if tag is not None else None
