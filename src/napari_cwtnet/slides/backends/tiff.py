"""Generic TIFF, OME-TIFF and SubIFD pyramids, through tifffile."""

from __future__ import annotations

import json
import logging
import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from tifffile import TiffFile, TiffFrame, TiffPage, TiffPageSeries

from napari_cwtnet.errors import CwtnetError, SlideError
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.backend import WHITE, Colour, Pixels, chosen_image
from napari_cwtnet.slides.backends.ome_xml import check_ome_xml
from napari_cwtnet.slides.backends.tiff_pages import (
    DECODE_ERRORS,
    PageTiles,
    cut_off,
    pyramid_of_pages,
)
from napari_cwtnet.slides.backends.tiff_validation import check_directories
from napari_cwtnet.slides.compression import Encoding
from napari_cwtnet.slides.decode_budget import MOST_IMAGES
from napari_cwtnet.slides.fork_safety import SharedFile
from napari_cwtnet.slides.resolution import (
    Resolution,
    micrometres,
    number,
    ome_resolution,
    ome_significant_bits,
    stated_resolution,
    tag_resolution,
)

# What tifffile would print on stderr of a damaged file is said by the error that follows.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_IDENTITY_TILES = 64
_IDENTITY_BYTES = 4 * 2**20
_PICTURES_OF_THE_GLASS = ("macro", "label", "thumbnail", "overview")
_MOST_PAGES = 64
_TEXT_TAGS = ("ImageDescription", "Make", "Model", "Software", "DateTime")


class TiffBackend:
    """A TIFF file's largest image that is no macro or label, and its reduced copies.

    Parameters
    ----------
    path : Path
        The file.
    image : int, optional
        Another one of its images, or a plane of a stack, by number.

    Raises
    ------
    SlideError
        If it is no TIFF that can be read, or a stack or multi-channel image.
    RequestError
        If it has no such image.
    """

    background: Colour = WHITE
    origin = (0, 0)

    def __init__(self, path: Path, image: int | None = None) -> None:
        self._name = path.name
        check_directories(path)
        try:
            # Other files that its metadata name could be any on this machine.
            self._file = TiffFile(path, _multifile=False)
        except DECODE_ERRORS as error:
            raise self._broken(error) from error
        try:
            self._check_directories()
            xml = self._file.ome_metadata if self._file.is_ome else None
            about_files = () if xml is None else check_ome_xml(xml, path.name, self._smallest())
            likely = max(self._file.series, key=_likely_slide)
            found = list(islice(_planes(self._file.series, likely), MOST_IMAGES))
            default = next(number for number, one in enumerate(found) if one[0] is likely)
            self.image = chosen_image(path.name, image, len(found), default)
            self.default_image = None if _is_stack(likely) else default
            self.images = tuple(_label(*one) for one in found)
            series, plane = found[self.image]
            self._check_plane(series, named=image is not None)
            self._shared = SharedFile(self._file, path.name)
            first = _page(series, plane)
            self.orientation = _orientation(first)
            main = PageTiles(first, self._shared, path.name, self._stated_maximum(first))
            reduced = [
                PageTiles(page, self._shared, path.name, main.maximum)
                for page in _reduced(self._file, series, plane, first)
            ]
            self._pages, pyramid = pyramid_of_pages([main, *reduced])
            self.format = "ome-tiff" if self._file.is_ome else "tiff"
            self.levels = pyramid.levels
            self.notes = (
                *about_files,
                *pyramid.notes,
                *self._pages.pages[-1].notes(states_maximum=main.states_maximum),
            )
            self.resolution = _resolution(self._file, first, self.levels[0].size)
            self.properties: Mapping[str, str] = _properties(first)
            self.icc_profile = _icc_profile(first)
        except CwtnetError:
            self._file.close()
            raise
        except DECODE_ERRORS as error:
            self._file.close()
            raise self._broken(error) from error

    def read_tile(self, level: int, column: int, row: int) -> Pixels:
        """One tile, cut at the level's edge: (h, w, 3) RGB or (h, w, 4) RGBA, uint8."""
        return self._pages.read_tile(level, column, row)

    def encoding(self, level: int) -> Encoding | None:
        """How the tiles of a level are encoded; None where that is not known."""
        return self._pages.pages[level].encoding()

    def identity(self) -> Iterator[bytes]:
        """Sizes of the encoded tiles of every level, and bytes of a spread of them."""
        for page in self._pages.pages:
            yield from page.identity(_IDENTITY_TILES, _IDENTITY_BYTES)

    def close(self) -> None:
        """Let go of the file."""
        self._shared.close()

    def _stated_maximum(self, page: TiffPage) -> int | None:
        """Of OME's significant bits, where they are more than 8 and fewer than the samples have."""
        if not (self._file.is_ome and self._file.ome_metadata):
            return None
        size = Size(page.imagewidth, page.imagelength)
        bits = ome_significant_bits(self._file.ome_metadata, size)
        return 2**bits - 1 if bits is not None and 8 < bits < page.bitspersample else None

    def _check_directories(self) -> None:
        # A chain of directories that leads beyond the file has lost levels: they come last.
        layout, handle = self._file.tiff, self._file.filehandle
        handle.seek(self._file.pages[-1].offset)
        (tags,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
        handle.seek(tags * layout.tagsize, os.SEEK_CUR)
        (following,) = struct.unpack(layout.offsetformat, handle.read(layout.offsetsize))
        if following >= handle.size:
            raise cut_off(self._name, handle.size, following)

    def _smallest(self) -> int:
        """Pixels of the smallest image in the main chain."""
        pages = (page for page in self._file.pages if isinstance(page, TiffPage))
        return min((page.imagewidth * page.imagelength for page in pages), default=1)

    def _check_plane(self, series: TiffPageSeries, *, named: bool) -> None:
        page = _page(series)
        plane = page.imagewidth * page.imagelength * page.samplesperpixel
        # ImageJ and tifffile itself write a stack as a single page and a shape.
        stacked = _is_stack(series)
        if (stacked and not named) or math.prod(_shape(series)) > plane * page.imagedepth:
            axes = " × ".join(
                f"{length} {axis}" for axis, length in zip(series.axes, series.shape, strict=True)
            )
            remedy = (
                f", or choose it by --image 0 to {len(self.images) - 1} on the command line"
                if stacked
                else " and open that"
            )
            raise SlideError(
                f"Slide {self._name!r} is a stack or multi-channel image ({axes}); "
                f"save one plane of it as RGB or greyscale{remedy}."
            )
        if page.imagewidth * page.imagelength == 0:
            raise SlideError(f"Slide {self._name!r} has an image without pixels; copy it again.")

    def _broken(self, error: BaseException) -> SlideError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return SlideError(
            f"Slide {self._name!r} is not a TIFF file that can be read: {reason}; "
            "copy the file again from its source or convert it to a tiled TIFF."
        )


def _shape(series: TiffPageSeries) -> tuple[int, ...]:
    """Of one page of a series, or of more that is stored as one."""
    pages = len(series.levels[0].pages)
    return series.shape if pages == 1 else (math.prod(series.shape) // pages,)


def _planes(
    all_of_them: Sequence[TiffPageSeries], likely: TiffPageSeries
) -> Iterator[tuple[TiffPageSeries, int]]:
    """The images of a file that are no copies of others; a stack has several."""
    for series in all_of_them:
        if series is likely or not _is_reduced(_page(series)):
            for number, page in enumerate(series.levels[0].pages):
                if page is not None:
                    yield series, number


def _label(series: TiffPageSeries, plane: int) -> str:
    page = _page(series)
    planes = len(series.levels[0].pages)
    of_stack = f", plane {plane} of {planes}" if planes > 1 else ""
    named = f" ({series.name[:60]})" if series.name else ""
    return f"{page.imagewidth} × {page.imagelength} pixels{of_stack}{named}"


def _page(series: TiffPageSeries, plane: int = 0, level: int = 0) -> TiffPage:
    page = series.levels[level].pages[plane]
    if isinstance(page, TiffFrame):
        page = page.aspage()
    if not isinstance(page, TiffPage):
        raise ValueError("its first page is missing")
    return page


def _is_stack(series: TiffPageSeries) -> bool:
    return len(series.levels[0].pages) > 1


def _name(series: TiffPageSeries) -> str:
    return f"{series.name} {_page(series).description[:200]}".lower()


def _likely_slide(series: TiffPageSeries) -> tuple[bool, bool, int]:
    """Not by name a picture of the glass or of its label, tiled, and the largest of these."""
    named = any(name in _name(series) for name in _PICTURES_OF_THE_GLASS)
    page = _page(series)
    return not named, page.is_tiled, page.imagewidth * page.imagelength


def _is_reduced(page: TiffPage) -> bool:
    return bool(int(page.subfiletype or 0) & 1)


def _reduced(file: TiffFile, series: TiffPageSeries, plane: int, first: TiffPage) -> list[TiffPage]:
    """Pages that may be levels below a page of a series."""
    levels = [
        number for number, level in enumerate(series.levels) if number and len(level.pages) > plane
    ]
    found = [_page(series, plane, level) for level in levels]
    # tifffile takes for levels only what shrinks as it expects.
    below: Iterable[object] = first.pages or ()
    found += [page for page in islice(below, _MOST_PAGES) if isinstance(page, TiffPage)]
    if not file.is_ome and not plane:
        found += [
            page
            for page in islice(file.pages, _MOST_PAGES)
            if isinstance(page, TiffPage)
            and _is_reduced(page)
            and (page.is_tiled, page.dtype, page.samplesperpixel, page.photometric)
            == (first.is_tiled, first.dtype, first.samplesperpixel, first.photometric)
        ]
    area = first.imagewidth * first.imagelength
    by_place = {
        page.offset: page for page in found if 0 < page.imagewidth * page.imagelength < area
    }
    by_place.pop(first.offset, None)
    return list(by_place.values())


def _orientation(page: TiffPage) -> int:
    tag = page.tags.get("Orientation")
    return int(tag.value) if tag is not None and int(tag.value) in range(1, 9) else 1


def _resolution(file: TiffFile, page: TiffPage, size: Size) -> Resolution:
    if file.is_ome and file.ome_metadata:
        stated = ome_resolution(file.ome_metadata, size)
        if stated is not None:
            return stated
    x, y = page.resolution
    unit = int(page.resolutionunit)
    # ImageJ keeps its unit in the description, and pixels per that unit in the tags.
    named = str((file.imagej_metadata or {}).get("unit", "")) if file.is_imagej else ""
    named = named.encode().decode("unicode_escape") if "\\u" in named else named
    if named and x > 0 and y > 0 and micrometres(1, named) is not None:
        return stated_resolution(
            micrometres(1 / x, named), micrometres(1 / y, named), "ImageJ pixel size"
        )
    found = tag_resolution(float(x), float(y), unit)
    mpp = _described_mpp(page.description)
    if found.mpp is None and mpp is not None:
        return stated_resolution(mpp, mpp, "mpp of the description")
    if found.mpp is None and file.is_ome:
        return stated_resolution(None, None, "OME PhysicalSizeX")
    return found


def _described_mpp(description: str) -> float | None:
    """Of a description in JSON, as some converters write it."""
    if not description.startswith("{"):
        return None
    try:
        content = json.loads(description)
    except (ValueError, RecursionError):
        return None
    found = content.get("mpp")
    return number(str(found)) if isinstance(found, int | float | str) else None


def _properties(page: TiffPage) -> dict[str, str]:
    found = {name: page.tags.get(name) for name in _TEXT_TAGS}
    texts = {f"tiff.{name}": str(tag.value) for name, tag in found.items() if tag is not None}
    compression = getattr(page.compression, "name", str(page.compression))
    return {**texts, "tiff.Compression": compression}


def _icc_profile(page: TiffPage) -> bytes | None:
    tag = page.tags.get("InterColorProfile")
    return bytes(tag.value) if tag is not None else None
