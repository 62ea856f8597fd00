"""Scanner formats and DICOM, through OpenSlide."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import openslide
from numpy.typing import NDArray
from tifffile import TiffFile, TiffPage

from napari_cwtnet.errors import SlideError
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.backend import WHITE, Colour, Level, Pixels
from napari_cwtnet.slides.backends.dicom_frames import dicom_encoding
from napari_cwtnet.slides.backends.tiff_pages import DECODE_ERRORS, PagePyramid, PageTiles
from napari_cwtnet.slides.backends.tiff_validation import refuse_absurd_sizes
from napari_cwtnet.slides.compression import Encoding
from napari_cwtnet.slides.decode_budget import check_decode, is_regular_file
from napari_cwtnet.slides.fork_safety import SharedFile, renewed_after_fork
from napari_cwtnet.slides.pyramid import Candidate, pyramid_of
from napari_cwtnet.slides.resolution import number, stated_resolution

MARGIN = 8
"""Pixels beyond a tile that `unblend` needs; what further ones add is below 2e-4."""

NEGLIGIBLE = 1 / 256
"""A fraction of a pixel that changes no 8-bit sample by more than rounding does."""


def unblend(pixels: Pixels, fractions: tuple[float, float]) -> Pixels:
    """Stored pixels of ones that were read between them.

    OpenSlide takes places in level-0 pixels, so that most places on a level of downsample 4.0003
    can only be read a fraction ``e`` off: each sample is ``(1 - e) p[j] + e p[j + 1]``. That
    mixing is inverted by its geometric series; it differs from tile to tile and would leave
    seams.

    Parameters
    ----------
    pixels : ndarray
        (h, w, 4) uint8 RGBA.
    fractions : tuple of float
        How far to the right and down of the pixels wanted these lie, in pixels, -0.5..0.5.

    Returns
    -------
    ndarray
        (h, w, 4) uint8; unchanged where pixels are missing, since colours cannot be told apart
        from the background there.
    """
    if pixels[1:-1, 1:-1, 3].min(initial=255) < 255:
        return pixels
    values = pixels[..., :3].astype(np.float32)
    for axis, fraction in ((1, fractions[0]), (0, fractions[1])):
        if abs(fraction) > NEGLIGIBLE:
            values = _unblend_axis(values, fraction, axis)
    out = np.full_like(pixels, 255)
    out[..., :3] = np.rint(values).clip(0, 255)
    return out


def _unblend_axis(values: NDArray[np.float32], fraction: float, axis: int) -> NDArray[np.float32]:
    length = values.shape[axis]
    ratio = -abs(fraction) / (1 - abs(fraction))
    total = np.zeros_like(values)
    for term in range(MARGIN):
        step = term if fraction > 0 else -term
        index = np.arange(step, step + length).clip(0, length - 1)
        total += np.float32(ratio**term) * values.take(index, axis)
    return total / np.float32(1 - abs(fraction))


_TILE = 512
_IDENTITY_TILES = 16
_FITTING = range(128, 2049)
_JPEG, _JPEG2000_RGB = 7, 33005
_SAME_FACTOR = 1e-9
_MANY_FILES = {"dicom", "hamamatsu", "mirax"}


class OpenSlideBackend:
    """A slide that OpenSlide reads.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    SlideError
        If OpenSlide cannot open it.
    """

    images: tuple[str, ...] = ()
    image = 0
    default_image: int | None = 0

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        vendor = openslide.OpenSlide.detect_format(path)
        refuse_absurd_sizes(path, vendor)
        _refuse_pipes(path, vendor)
        self._handle: openslide.OpenSlide | None = self._open()
        self._is_of_parent = False
        self._of_parents: list[openslide.OpenSlide | None] = []
        renewed_after_fork(self)
        try:
            candidates = self._read_header(self._handle)
            self._levels_of_file = candidates
            found = pyramid_of(candidates, self._stored_tile)
        except (*DECODE_ERRORS, openslide.OpenSlideError) as error:
            raise self._broken(error) from error
        self.levels, self._numbers, self.notes = found.levels, found.numbers, found.notes
        self._aperio = None
        if self.format == "aperio":
            sizes = [candidates[number].size for number in found.numbers]
            self._aperio = AperioPages.of(path, self.levels, sizes)
        if self._aperio is not None:
            self.levels = self._aperio.pyramid.levels

    def read_tile(self, level: int, column: int, row: int) -> Pixels:
        """One tile, cut at the level's edge: (h, w, 3) RGB or (h, w, 4) RGBA, uint8."""
        if self._aperio is not None:
            return self._aperio.pyramid.read_tile(level, column, row)
        return self._stored_tile(self._numbers[level], column, row)

    def _stored_tile(self, level: int, column: int, row: int) -> Pixels:
        """By OpenSlide's own number of the level."""
        stored = self._levels_of_file[level]
        x, y = column * stored.tile.width, row * stored.tile.height
        width = min(stored.tile.width, stored.size.width - x)
        height = min(stored.tile.height, stored.size.height - y)
        # OpenSlide divides by its own downsample, so it is multiplied by that one here.
        stated = self._stated[level]
        if stated.is_integer():
            return self._region(level, (round(x * stated), round(y * stated)), Size(width, height))
        left, top = max(0, x - MARGIN), max(0, y - MARGIN)
        right = min(stored.size.width, x + width + MARGIN)
        bottom = min(stored.size.height, y + height + MARGIN)
        place = (round(left * stated), round(top * stated))
        pixels = self._region(level, place, Size(right - left, bottom - top))
        pixels = unblend(pixels, (place[0] / stated - left, place[1] / stated - top))
        return pixels[y - top : y - top + height, x - left : x - left + width]

    def encoding(self, level: int) -> Encoding | None:
        """How the tiles of a level are encoded; None where that is not known."""
        if self._aperio is not None:
            return self._aperio.pyramid.pages[level].encoding()
        size = self._levels_of_file[self._numbers[level]].size
        if self.format == "dicom":
            series = self.properties.get("dicom.SeriesInstanceUID", "")
            return dicom_encoding(self._path, series, size)
        try:
            with TiffFile(self._path) as file:
                pages = [page for page in file.pages if isinstance(page, TiffPage)]
                page = _page_of(pages, size)
                if page is not None:
                    shared = SharedFile(file, self._path.name)
                    return PageTiles(page, shared, self._path.name).encoding()
        except DECODE_ERRORS:
            return None
        # OpenSlide makes the levels that an NDPI file lacks out of those that it has.
        return Encoding("lossless") if self.format == "hamamatsu" else None

    def identity(self) -> Iterator[bytes]:
        """OpenSlide's own hash of the slide's data, or some tiles of the coarsest level."""
        quickhash = self.properties.get(openslide.PROPERTY_NAME_QUICKHASH1)
        if quickhash:
            yield quickhash.encode()
        else:
            coarsest = len(self.levels) - 1
            columns, rows = self.levels[coarsest].grid
            for index in range(0, columns * rows, -(-columns * rows // _IDENTITY_TILES)):
                yield self.read_tile(coarsest, index % columns, index // columns).tobytes()

    def close(self) -> None:
        """Let go of the file; the handle itself ends with the last read that still uses it."""
        with self._lock:
            self._handle, self._is_of_parent = None, False
        if self._aperio is not None:
            self._aperio.close()

    def renew_after_fork(self) -> None:
        """Read through a handle of this process: the offsets of the parent's files are its own."""
        self._lock = threading.Lock()
        # Kept open: closing it would wait for threads that are not in this process.
        self._of_parents.append(self._handle)
        if self._handle is not None:
            self._handle = None
            self._is_of_parent = True

    def _read_header(self, handle: openslide.OpenSlide) -> list[Candidate]:
        # A damaged file may name a property that has no value.
        found = {name: handle.properties.get(name) for name in handle.properties}
        properties = {name: value for name, value in found.items() if value is not None}
        self.properties: Mapping[str, str] = properties
        self.format = properties.get(openslide.PROPERTY_NAME_VENDOR, "openslide")
        self.background = _background(properties)
        self.resolution = stated_resolution(
            number(properties.get(openslide.PROPERTY_NAME_MPP_X)),
            number(properties.get(openslide.PROPERTY_NAME_MPP_Y)),
            "openslide.mpp-x",
        )
        # Only the profile's bytes are wanted: parsing it is left to where failure is reported.
        profile = openslide.lowlevel.read_icc_profile(handle._osr)
        self.icc_profile = bytes(profile) if profile else None
        self._stated = handle.level_downsamples
        self.origin = _origin(properties)
        return _candidates(handle, properties, self._path.name)

    def _region(self, level: int, place: tuple[int, int], size: Size) -> Pixels:
        error: openslide.OpenSlideError | None = None
        for _ in range(2):
            handle = self._current()
            if handle is None:
                raise SlideError(f"Slide {self._path.name!r} is closed; open it again to read.")
            try:
                return np.array(handle.read_region(place, level, size))
            except openslide.OpenSlideError as failure:
                error = failure
                # A handle is of no use after its first error, also to the other threads.
                self._replace(handle)
        reason = " ".join(str(error).split())
        raise SlideError(
            f"Slide {self._path.name!r} cannot be read at {place[0]},{place[1]} of level {level}: "
            f"{reason}; copy the file again from its source."
        ) from error

    def _current(self) -> openslide.OpenSlide | None:
        if not self._is_of_parent:
            return self._handle
        with self._lock:
            if self._is_of_parent:
                self._handle, self._is_of_parent = self._open(), False
            return self._handle

    def _replace(self, spoilt: openslide.OpenSlide) -> None:
        with self._lock:
            if self._handle is spoilt:
                self._handle = self._open()

    def _open(self) -> openslide.OpenSlide:
        try:
            return openslide.OpenSlide(self._path)
        except openslide.OpenSlideError as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> SlideError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return SlideError(
            f"Slide {self._path.name!r} cannot be opened: {reason}; "
            "copy the file again from its source, with the files that belong to it."
        )


class AperioPages:
    """The levels of an Aperio SVS file as TIFF pages.

    OpenSlide reads a level whose downsample is not whole (2.0005, since sizes are rounded) at
    fractions of a pixel: it interpolates, and blurs each tile differently. Its tiles decoded
    directly are the stored pixels.
    """

    def __init__(self, file: SharedFile, pyramid: PagePyramid) -> None:
        self._file = file
        self.pyramid = pyramid

    @classmethod
    def of(
        cls, path: Path, levels: tuple[Level, ...], stored: Sequence[Size]
    ) -> AperioPages | None:
        """The pages of these levels; None where they are not all found or not decodable here."""
        try:
            file = TiffFile(path)
        except DECODE_ERRORS:
            return None
        try:
            by_size = {
                Size(page.imagewidth, page.imagelength): page
                for page in file.pages
                if isinstance(page, TiffPage)
                and page.is_tiled
                and page.compression in (_JPEG, _JPEG2000_RGB)
            }
            shared = SharedFile(file, path.name)
            pages = [PageTiles(by_size[size], shared, path.name) for size in stored]
        except (*DECODE_ERRORS, SlideError):
            file.close()
            return None
        direct = [
            Level(level.downsample, level.size, page.tile)
            for level, page in zip(levels, pages, strict=True)
        ]
        return cls(shared, PagePyramid(pages, direct))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _candidates(
    handle: openslide.OpenSlide, properties: Mapping[str, str], name: str
) -> list[Candidate]:
    sizes = [Size(*size) for size in handle.level_dimensions]
    found = []
    for index, (size, stated) in enumerate(zip(sizes, handle.level_downsamples, strict=True)):
        stored = [
            int(properties.get(f"openslide.level[{index}].tile-{side}", "0"))
            for side in ("width", "height")
        ]
        # OpenSlide decodes to four bytes a pixel, and keeps it.
        what = f"a tile of {stored[0]} × {stored[1]} pixels"
        check_decode(name, what, 8 * stored[0] * stored[1])
        tile = Size(*stored) if all(side in _FITTING for side in stored) else Size(_TILE, _TILE)
        # Where no scanner states it, OpenSlide takes the mean of the ratios of both sides.
        ratios = [whole / side for whole, side in zip(sizes[0], size, strict=True)]
        is_mean = abs(sum(ratios) / 2 - stated) <= _SAME_FACTOR * stated
        found.append(Candidate(size, tile, stated, sure=not is_mean))
    return found


def _refuse_pipes(path: Path, vendor: str | None) -> None:
    """Refuse a slide beside pipes or devices where OpenSlide looks into every file of a folder.

    Raises
    ------
    SlideError
        If there is one: OpenSlide would wait for it.
    """
    folder = path.with_suffix("") if vendor == "mirax" else path.parent
    if vendor not in _MANY_FILES or not folder.is_dir():
        return
    for entry in sorted(folder.iterdir()):
        if entry.exists() and not entry.is_dir() and not is_regular_file(entry):
            raise SlideError(
                f"Slide {path.name!r} lies beside {entry.name!r}, which is not a file and would be "
                "waited for; put the files of the slide into a folder of their own."
            )


def _origin(properties: Mapping[str, str]) -> tuple[int, int]:
    x, y = (
        number(properties.get(name)) or 0.0
        for name in (openslide.PROPERTY_NAME_BOUNDS_X, openslide.PROPERTY_NAME_BOUNDS_Y)
    )
    return int(x), int(y)


def _page_of(pages: list[TiffPage], size: Size) -> TiffPage | None:
    """The tiled page of a level, whose size some scanners round up to whole tiles."""
    tiled = [page for page in pages if page.is_tiled]
    for page in tiled:
        if (page.imagewidth, page.imagelength) == size:
            return page
    for page in tiled:
        beyond = (page.imagewidth - size.width, page.imagelength - size.height)
        if 0 <= beyond[0] < page.tilewidth and 0 <= beyond[1] < page.tilelength:
            return page
    return None


def _background(properties: Mapping[str, str]) -> Colour:
    text = properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "")
    try:
        red, green, blue = bytes.fromhex(text)
    except ValueError:
        return WHITE
    return red, green, blue
