"""Tiles of TIFF pages, decoded directly."""

from __future__ import annotations

import math
import operator
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFileError, TiffPage

from napari_cwtnet.errors import SlideError
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.backend import WHITE, Level, Pixels
from napari_cwtnet.slides.codestream import stated_size
from napari_cwtnet.slides.colour import (
    by_stripes,
    cmyk_to_rgb,
    grey_to_rgb,
    lab_to_rgb,
    over_background,
    straight_alpha,
    to_uint8,
    ycbcr_to_rgb,
)
from napari_cwtnet.slides.compression import HEAD_BYTES, Codec, Encoding, tissue_rate
from napari_cwtnet.slides.decode_budget import check_decode
from napari_cwtnet.slides.fork_safety import SharedFile
from napari_cwtnet.slides.pyramid import Candidate, Pyramid, pyramid_of, rectangle, shrunk

# imagecodecs raises RuntimeErrors of its own; tifffile lets the rest through on broken files.
DECODE_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    TiffFileError,
)

_STRIP_TILE_ROWS = 256
_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _INKS, _YCBCR, _CIELAB, _ICCLAB = (
    0,
    1,
    2,
    3,
    5,
    6,
    8,
    9,
)
_KINDS = (_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _INKS, _YCBCR, _CIELAB, _ICCLAB)
_OLD_JPEG = 6
_JPEG_FAMILY = {6, 7, 33003, 33004, 33005, 33007, 34712, 34933, 34892}
_CODECS: dict[int, Codec] = {
    **dict.fromkeys((1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 34926, 34933, 50000), "lossless"),
    **dict.fromkeys((6, 7, 33007, 34892), "jpeg"),
    **dict.fromkeys((33003, 33004, 33005, 34712), "jpeg2000"),
    **dict.fromkeys((34927, 50001), "webp"),
}
"""By TIFF's number; those of JPEG XL and XR and of LERC do not say whether they are lossless."""
_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA = 1, 2
_MOST_COMPONENTS = 5
_UNKNOWN_CODEC = ("is not a known", "not supported", "requires the", "not implemented")
_COLOURS = {_RGB: 3, _INKS: 4, _YCBCR: 3, _CIELAB: 3, _ICCLAB: 3}
_LOOKED_AT = 16
_SMALL_RANGE = 0.3
_APERIO_QUALITY = re.compile(r"\bQ\s*=\s*(\d{1,3})\b")


class PageTiles:
    """The tiles of one page, as RGB or RGBA.

    Strips are offered as tiles as wide as the page, some strips together.

    Parameters
    ----------
    page : TiffPage
        One two-dimensional image.
    file : SharedFile
        Its file.
    name : str
        Of the file, for messages.
    maximum : int, optional
        The largest sample, where that is known from elsewhere than the page: from level 0, for one.

    Raises
    ------
    SlideError
        If its kind of samples cannot be shown as RGB, or the file ends before its tiles do.
    """

    def __init__(
        self, page: TiffPage, file: SharedFile, name: str, maximum: int | None = None
    ) -> None:
        self._page = page
        self._file = file
        self._name = name
        self._colours = _COLOURS.get(page.photometric, 1)
        self._alpha = (page.extrasamples or (0,))[0]
        # A damaged directory may state them as fractions.
        self.size = Size(operator.index(page.imagewidth), operator.index(page.imagelength))
        self._check_kind()
        self._decode = page.decode
        self._planes = page.samplesperpixel if page.planarconfig == 2 else 1
        self._offsets, self._counts = page.dataoffsets, page.databytecounts
        self._raw_type: np.dtype[Any] | None = None
        if page.is_tiled:
            self._segment = Size(operator.index(page.tilewidth), operator.index(page.tilelength))
            self.tile = self._segment
        else:
            rows = min(operator.index(page.rowsperstrip or self.size.height), self.size.height)
            if rows == self.size.height > _STRIP_TILE_ROWS and self._is_raw():
                rows = self._split(_STRIP_TILE_ROWS)
            self._segment = Size(page.imagewidth, rows)
            self.tile = Size(page.imagewidth, rows * max(1, _STRIP_TILE_ROWS // rows))
        self._columns = -(-self.size.width // self._segment.width)
        self._rows = -(-self.size.height // self._segment.height)
        self._full = (1 << int(page.bitspersample)) - 1
        stated = maximum or self._sample_maximum()
        self.states_maximum = stated is not None
        self.maximum = stated or self._full
        self._check_whole()
        check_decode(name, self._piece(), self._needed())

    def notes(self, *, states_maximum: bool) -> Iterator[str]:
        """What of its samples is not shown, or may be meant otherwise.

        Parameters
        ----------
        states_maximum : bool
            Whether the file says what its largest sample can be.
        """
        if self._page.samplesperpixel > self._colours and not self._has_alpha:
            yield "the fourth channel is not alpha and is not shown"
        if self._full > 255 and not states_maximum and self._page.photometric != _PALETTE:
            yield from range_note(self._largest_sample(), self._full)

    def check_room(self, needed: int) -> None:
        """Refuse to make a tile that was never written of too much of a finer level.

        Raises
        ------
        SlideError
            If that takes more memory than may be used.
        """
        check_decode(self._name, "a tile that it leaves out, of the finer level", needed)

    def is_missing(self, column: int, row: int) -> bool:
        """Whether a tile, or one of its strips, was never written."""
        first = row * self._columns * (self.tile.height // self._segment.height) + column
        last = min(first + self.tile.height // self._segment.height, self._columns * self._rows)
        if self._page.is_tiled:
            return self._counts[first] == 0
        return any(self._counts[index] == 0 for index in range(first, last))

    def read_tile(self, column: int, row: int) -> Pixels:
        """One tile cut at the page's edge, (h, w, 3 or 4) uint8.

        Raises
        ------
        SlideError
            If the file ends there or the tile cannot be decoded.
        """
        per_tile = self.tile.height // self._segment.height
        rows = range(row * per_tile, min((row + 1) * per_tile, self._rows))
        strips = [self._samples(column, segment_row) for segment_row in rows]
        try:
            return self._to_rgb(strips[0] if len(strips) == 1 else np.concatenate(strips))
        except DECODE_ERRORS as error:
            index = rows.start * self._columns + column
            raise self._unreadable(index, " ".join(str(error).split())) from error

    def identity(self, samples: int, limit: int) -> Iterator[bytes]:
        """Sizes of all stored tiles, and the first bytes of some that lie evenly spread.

        Parameters
        ----------
        samples : int
            Tiles looked into, at most.
        limit : int
            Bytes looked at in all, about.
        """
        offsets, counts = self._page.dataoffsets, self._page.databytecounts
        yield repr(counts).encode()
        step = max(1, (len(counts) - 1) // max(1, samples - 1))
        chosen = range(0, len(counts), step)
        for index in chosen:
            yield self._bytes(index, offsets[index], min(counts[index], limit // len(chosen)))

    def encoding(self) -> Encoding | None:
        """Codec, and the starts of the first tile and of the largest; None of a codec not known.

        Raises
        ------
        SlideError
            If the file cannot be read there.
        """
        codec = _CODECS.get(int(self._page.compression))
        if codec is None or codec == "lossless":
            return None if codec is None else Encoding(codec)
        sizes = self._page.databytecounts
        # NDPI has one header for all strips of a page, which are bare samples.
        header = self._page.jpegheader
        chosen = {next((i for i, n in enumerate(sizes) if n), 0), int(np.argmax(sizes))}
        tiles = [b""] if header else [self._encoded(i, HEAD_BYTES) for i in sorted(chosen)]
        stated = _APERIO_QUALITY.search(self._page.description)
        quality = int(stated[1]) if stated else 0
        return Encoding(
            codec,
            header or self._page.jpegtables or b"",
            tuple(tiles),
            tissue_rate(sizes, self._segment.width * self._segment.height // self._planes),
            quality if 1 <= quality <= 100 else None,
            rgb=self._page.photometric == _RGB,
        )

    def _samples(self, column: int, row: int) -> NDArray[Any]:
        index = row * self._columns + column
        planes = self._columns * self._rows
        parts = [self._decoded(index + plane * planes) for plane in range(self._planes)]
        samples = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        width = min(self._segment.width, self.size.width - column * self._segment.width)
        height = min(self._segment.height, self.size.height - row * self._segment.height)
        samples = samples[:height, :width]
        if samples.shape != (height, width, self._page.samplesperpixel):
            got = " × ".join(map(str, samples.shape))
            raise self._unreadable(index, f"it holds {got} samples")
        return samples

    def _decoded(self, index: int) -> NDArray[Any]:
        data = self._encoded(index)
        channels = 1 if self._planes > 1 else self._page.samplesperpixel
        if not data:
            # A tile that was never written; TIFF has no word for it but readers agree on blank.
            blank = 0 if self._page.photometric == _MIN_IS_WHITE else self.maximum
            height = min(self._segment.height, self.size.height)
            width = min(self._segment.width, self.size.width)
            return np.full((height, width, channels), blank, self._page.dtype)
        if self._raw_type is not None:
            raw = np.frombuffer(data, self._raw_type).reshape(-1, self.size.width, channels)
            return raw.astype(self._raw_type.newbyteorder("="), copy=False)
        self._check_stated(data, index)
        try:
            samples, _, shape = self._decode(data, index, jpegtables=self._page.jpegtables)
        except DECODE_ERRORS as error:
            raise self._unreadable(index, " ".join(str(error).split())) from error
        if samples is None:
            raise self._unreadable(index, "no samples")
        return np.asarray(samples)[0, : shape[1], : shape[2]]

    def _encoded(self, index: int, limit: int | None = None) -> bytes:
        try:
            offset, count = self._offsets[index], self._counts[index]
        except LookupError as error:
            raise self._unreadable(index, "the file does not say where it is") from error
        return self._bytes(index, offset, count if limit is None else min(count, limit))

    def _bytes(self, index: int, offset: int, count: int) -> bytes:
        try:
            data = self._file.read(offset, count) if count else b""
        except DECODE_ERRORS as error:
            raise self._unreadable(index, " ".join(str(error).split())) from error
        if len(data) < count:
            raise self._unreadable(index, f"the file ends {count - len(data)} bytes too early")
        return data

    def _unreadable(self, index: int, why: str) -> SlideError:
        remedy = "copy the file again from its source"
        if self._page.compression == _OLD_JPEG:
            remedy = "old-style JPEG is not read in every form, convert it to a TIFF with JPEG"
        elif any(words in why for words in _UNKNOWN_CODEC):
            remedy = "convert it to a TIFF with JPEG or LZW"
        return SlideError(
            f"Slide {self._name!r} cannot be read at tile {index} of its "
            f"{self.size.width} × {self.size.height} image: {why}; {remedy}."
        )

    def _to_rgb(self, samples: NDArray[Any]) -> Pixels:
        photometric = self._page.photometric
        if photometric == _PALETTE:
            palette = np.asarray(self._page.colormap)
            # As libtiff takes it: entries of 16 bits, unless none of them needs more than 8.
            depth = 255 if palette.max() <= 255 else 65535
            colours = to_uint8(palette.T[np.newaxis], depth)[0]
            index = samples.astype(np.uint8) if samples.dtype == np.bool_ else samples
            return by_stripes(lambda stripe: colours[stripe[..., 0]], index, 3)
        if not self._has_alpha:
            samples = samples[..., : self._colours]
        pixels = to_uint8(samples, self.maximum)
        if photometric in (_INKS, _CIELAB, _ICCLAB):
            if photometric == _INKS:
                rgb = cmyk_to_rgb(pixels[..., :4])
            else:
                rgb = lab_to_rgb(pixels[..., :3], signed=photometric == _CIELAB)
            return rgb if not self._has_alpha else np.dstack([rgb, pixels[..., self._colours]])
        if photometric == _YCBCR and self._page.compression not in _JPEG_FAMILY:
            pixels = np.dstack([ycbcr_to_rgb(pixels[..., :3]), pixels[..., 3:]])
        if photometric == _MIN_IS_WHITE:
            pixels = np.concatenate([255 - pixels[..., :1], pixels[..., 1:]], axis=2)
        if photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK):
            pixels = grey_to_rgb(pixels)
        if pixels.shape[2] == 4 and self._alpha == _ASSOCIATED_ALPHA:
            return straight_alpha(pixels)
        return pixels

    @property
    def _has_alpha(self) -> bool:
        return self._alpha in (_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA)

    def _largest_sample(self) -> int:
        count = self._columns * self._rows
        looked_at = range(0, count, max(1, count // _LOOKED_AT))
        tiles = (self._samples(i % self._columns, i // self._columns) for i in looked_at)
        return max(int(tile[..., : self._colours].max()) for tile in tiles)

    def _sample_maximum(self) -> int | None:
        tag = self._page.tags.get("MaxSampleValue")
        stated = tag.value if tag is not None else 0
        largest = max(stated) if isinstance(stated, Sequence) else int(stated)
        return largest if 0 < largest < self._full and self._page.bitspersample > 8 else None

    def _check_whole(self) -> None:
        spans = zip(self._page.dataoffsets, self._page.databytecounts, strict=True)
        end = max((offset + count for offset, count in spans), default=0)
        if end > self._file.size:
            raise cut_off(self._name, self._file.size, end)

    def _is_raw(self) -> bool:
        """Whether a plane is one run of whole samples, of which any rows can be read alone."""
        page = self._page
        if (page.compression, page.predictor, page.fillorder) != (1, 1, 1):
            return False
        whole = page.bitspersample in (8, 16, 32) and page.dtype is not None
        row = self.size.width * page.samplesperpixel // self._planes * int(page.bitspersample) // 8
        return whole and [*self._counts] == [row * self.size.height] * self._planes

    def _split(self, rows: int) -> int:
        """Take each plane for strips of so many rows."""
        height, counts = self.size.height, self._counts
        row = counts[0] // height
        starts = range(0, height, rows)
        self._offsets = tuple(first + y * row for first in self._offsets for y in starts)
        self._counts = tuple(min(rows, height - y) * row for _ in counts for y in starts)
        self._raw_type = np.dtype(self._page.dtype).newbyteorder(self._page.parent.byteorder)
        return rows

    def _needed(self) -> int:
        """Bytes that decoding the largest tile takes, with the RGB that is made of it."""
        page = self._page
        pixels = self._segment.width * self._segment.height
        depth = np.dtype(page.dtype).itemsize
        strips = min(max(1, self.tile.height // self._segment.height), self._rows)
        copies = strips > 1 or self._planes > 1
        decoded = pixels * page.samplesperpixel * depth * strips * (1 + copies)
        is_rgb = page.photometric in (_RGB, _YCBCR) and depth == 1
        made = 0 if is_rgb and page.samplesperpixel == len("RGB") else 8 * pixels * strips
        return max(self._counts, default=0) * strips + decoded + made

    def _piece(self) -> str:
        width, height = self._segment
        return f"{'a tile' if self._page.is_tiled else 'a strip'} of {width} × {height} pixels"

    def _check_stated(self, data: bytes, index: int) -> None:
        """Refuse a picture that is larger than its tile before its decoder asks for memory."""
        stated = stated_size(data)
        if stated is None or self._page.jpegheader:
            return
        width, height, components = stated
        if width > self._segment.width or height > self._segment.height:
            raise self._unreadable(index, f"it holds a picture of {width} × {height} pixels")
        if components > _MOST_COMPONENTS:
            raise self._unreadable(index, f"it holds a picture of {components} components")

    def _check_kind(self) -> None:
        page = self._page
        problem = None
        kind = page.photometric
        extra = page.samplesperpixel - self._colours
        if page.dtype is None or page.dtype.kind not in "ub":
            problem = f"samples of type {page.dtype}"
        elif kind not in _KINDS:
            problem = f"colour model {getattr(kind, 'name', kind)}"
        elif kind == _YCBCR and page.compression not in _JPEG_FAMILY and _is_subsampled(page):
            problem = "YCbCr samples of halved chroma outside JPEG"
        elif kind in (_INKS, _CIELAB, _ICCLAB) and page.compression in _JPEG_FAMILY:
            problem = f"colour model {getattr(kind, 'name', kind)} in JPEG"
        elif kind in (_CIELAB, _ICCLAB) and page.bitspersample != 8:
            problem = f"colour model {getattr(kind, 'name', kind)} of {page.bitspersample} bits"
        elif kind == _INKS and page.samplesperpixel < 4:
            problem = f"{page.samplesperpixel} inks"
        elif page.imagedepth != 1:
            problem = f"volume of {page.imagedepth} planes"
        elif extra not in (0, 1) or (extra and self._colours == 1 and not self._has_alpha):
            problem = f"{page.samplesperpixel} channels"
        if problem:
            raise SlideError(
                f"Slide {self._name!r} has an unsupported kind of image ({problem}); "
                "convert it to 8-bit or 16-bit RGB or greyscale."
            )


def _is_subsampled(page: TiffPage) -> bool:
    tag = page.tags.get("YCbCrSubSampling")
    return tag is None or tuple(tag.value) != (1, 1)  # by TIFF's default it is


def range_note(largest: int, full: int) -> Iterator[str]:
    """A line where the samples of an image use a small part of the range that they are shown by.

    Parameters
    ----------
    largest, full : int
        The largest sample that was seen, and the largest that the container can hold.
    """
    if largest <= full * _SMALL_RANGE:
        yield (
            f"samples reach {largest} of {full}, {largest / full:.2g} of the range, and are shown "
            "dark; save them as 8 bits, or with the SignificantBits of OME-TIFF"
        )


def cut_off(name: str, size: int, needed: int) -> SlideError:
    """The error of a file that is shorter than its directory says."""
    return SlideError(
        f"Slide {name!r} is cut off: the file has {size} bytes and needs at least {needed}; "
        "copy the file again from its source."
    )


class PagePyramid:
    """Pages as levels; a tile that a coarser level lacks is made of the next finer one.

    Parameters
    ----------
    pages : sequence of PageTiles
        One for each level.
    levels : sequence of Level
        Finest first.
    """

    def __init__(self, pages: Sequence[PageTiles], levels: Sequence[Level]) -> None:
        self.pages = tuple(pages)
        self.levels = tuple(levels)

    def read_tile(self, level: int, column: int, row: int) -> Pixels:
        """One tile, cut at the page's edge: (h, w, 3) RGB or (h, w, 4) RGBA, uint8."""
        page = self.pages[level]
        # Aperio leaves out tiles of its coarser levels; OpenSlide fills them likewise.
        if level and page.is_missing(column, row):
            return self._of_finer(level, column, row)
        return page.read_tile(column, row)

    def _of_finer(self, level: int, column: int, row: int) -> Pixels:
        stored, finer = self.levels[level], self.levels[level - 1]
        factor = stored.downsample / finer.downsample
        x, y = column * stored.tile.width, row * stored.tile.height
        width = min(stored.tile.width, stored.size.width - x)
        height = min(stored.tile.height, stored.size.height - y)
        left, top = (
            min(start * factor, side - 1) for start, side in zip((x, y), finer.size, strict=True)
        )
        right, bottom = (
            min(end * factor, side)
            for end, side in zip((x + width, y + height), finer.size, strict=True)
        )
        x0, y0 = math.floor(left), math.floor(top)
        # Twice: as found, and laid on the background.
        self.pages[level].check_room(2 * 4 * (math.ceil(right) - x0) * (math.ceil(bottom) - y0))
        pixels = rectangle(
            finer,
            lambda *at: over_background(self.read_tile(level - 1, *at), WHITE),
            (x0, y0, math.ceil(right), math.ceil(bottom)),
        )
        return shrunk(pixels, (width, height), (left - x0, top - y0, right - x0, bottom - y0))


def pyramid_of_pages(pages: Sequence[PageTiles]) -> tuple[PagePyramid, Pyramid]:
    """The levels among some pages, and what was left out."""
    found = pyramid_of(
        [Candidate(page.size, page.tile) for page in pages],
        lambda number, column, row: pages[number].read_tile(column, row),
    )
    return PagePyramid([pages[number] for number in found.numbers], found.levels), found
