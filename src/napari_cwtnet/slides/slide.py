"""`Slide`: one open slide, its metadata, and its pixels at any downsample from 1 up."""

from __future__ import annotations

import hashlib
import math
import weakref
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from napari_cwtnet.errors import RequestError, SlideError
from napari_cwtnet.geometry import Region, Size, describe_resolution
from napari_cwtnet.slides.backend import (
    SHARED_CACHE,
    Backend,
    Colour,
    Level,
    Pixels,
    TileCache,
    best_level,
    is_of,
)
from napari_cwtnet.slides.colour import ProfileToSrgb, over_background
from napari_cwtnet.slides.degradation import Compression, Degradation, Kernel
from napari_cwtnet.slides.file_degradation import FileDegradation
from napari_cwtnet.slides.provenance_tags import computed_badge, computed_from, computed_place
from napari_cwtnet.slides.resample import Axis, Filter, resample
from napari_cwtnet.slides.resolution import user_resolution


class StoredPixels:
    """What a slide that is open has stored, for reading from any thread.

    Parameters
    ----------
    path : Path
        The file.
    backend : Backend
        Its reader; closed with the slide.
    icc : bool
        Whether an embedded ICC profile is applied, so that pixels are sRGB.
    cache : TileCache
        Where decoded tiles are kept.
    """

    def __init__(self, path: Path, backend: Backend, icc: bool, cache: TileCache) -> None:
        self._path = path
        self._backend = backend
        self._cache = cache
        self._owner = object()
        self._closed = False
        # A slide that nobody holds any more, such as one of a deleted layer, lets go of its file.
        self._finalizer = weakref.finalize(self, _release, backend, cache, self._owner)
        known = FileDegradation(backend)
        # Of the file alone: levels that held the slide would keep it open.
        self._levels = tuple(
            replace(
                level, look=partial(known.of_level, index), place=partial(known.shift_of, index)
            )
            for index, level in enumerate(backend.levels)
        )
        self._to_srgb: ProfileToSrgb | None = None
        self._icc_note: str | None = None
        if icc and backend.icc_profile is not None:
            try:
                self._to_srgb = ProfileToSrgb(backend.icc_profile)
            except ValueError as error:
                self._icc_note = f"ICC profile is not applied, it cannot be used: {error}"

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def opened(self) -> object:
        """Stands for this opening of the file alone, and may outlive it: a key for its pixels."""
        return self._owner

    @property
    def levels(self) -> tuple[Level, ...]:
        """The stored levels, finest first."""
        return self._levels

    @property
    def background(self) -> Colour:
        """RGB colour of places without pixels, 0..255."""
        return self._backend.background

    @property
    def icc_profile(self) -> bytes | None:
        """The embedded ICC profile, whether applied or not."""
        return self._backend.icc_profile

    @property
    def icc(self) -> bool:
        """Whether the ICC profile is applied to the pixels that are read."""
        return self._to_srgb is not None

    @property
    def icc_note(self) -> str | None:
        """Why an embedded ICC profile could not be applied."""
        return self._icc_note

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Stored pixels of a rectangle of a level.

        Parameters
        ----------
        level : int
            Index into `levels`.
        x, y, width, height : int
            In pixels of the level; may reach beyond it.

        Returns
        -------
        ndarray
            (height, width, 3) uint8 RGB; the background colour beyond the level.

        Raises
        ------
        RequestError
            If there is no such level, or the rectangle has no area.
        SlideError
            If the file cannot be read there.
        """
        stored = self._level(level)
        if width < 1 or height < 1:
            raise RequestError(
                f"Rectangle of {width} × {height} pixels has no area; give 1 × 1 or more."
            )
        out = np.empty((height, width, 3), np.uint8)
        out[:] = self.background
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, stored.size.width), min(y + height, stored.size.height)
        if left < right and top < bottom:
            pixels = self._assemble(level, left, top, right, bottom)
            out[top - y : bottom - y, left - x : right - x] = pixels
        return out

    def read_tile(self, level: int, column: int, row: int) -> Pixels:
        """One stored tile, from the cache if it is there; read-only.

        Parameters
        ----------
        level : int
            Index into `levels`.
        column, row : int
            Place in the grid of tiles of ``levels[level].tile`` size.

        Returns
        -------
        ndarray
            (h, w, 3) uint8 RGB; smaller than a tile at the right and lower edge.

        Raises
        ------
        RequestError
            If there is no such level or tile.
        SlideError
            If the file cannot be read there.
        """
        columns, rows = self._level(level).grid
        if not (0 <= column < columns and 0 <= row < rows):
            raise RequestError(
                f"Tile {column},{row} is not in level {level}; it has {columns} × {rows} tiles."
            )
        self._check_open()
        return self._cache.get(
            (self._owner, level, column, row), lambda: self._decode(level, column, row)
        )

    @property
    def closed(self) -> bool:
        """Whether the file was let go of, so that nothing can be read any more."""
        return self._closed

    def close(self) -> None:
        """Let go of the file and of the cached tiles; reading is an error from now on."""
        if not self._closed:
            self._closed = True
            self._finalizer()

    def __enter__(self) -> Self:
        """The slide itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the slide."""
        self.close()

    def _decode(self, level: int, column: int, row: int) -> Pixels:
        pixels = self._backend.read_tile(level, column, row)
        # An image that was filled up to whole tiles shows less than it holds.
        (width, height), tile = self._levels[level].size, self._levels[level].tile
        pixels = pixels[: height - row * tile.height, : width - column * tile.width]
        if self._to_srgb is not None:
            rgb = self._to_srgb(pixels[..., :3])
            # The background is an sRGB colour already, so alpha is laid on it after the profile.
            pixels = rgb if pixels.shape[2] == 3 else np.dstack([rgb, pixels[..., 3]])
        return np.ascontiguousarray(over_background(pixels, self.background))

    def _assemble(self, level: int, x: int, y: int, right: int, bottom: int) -> Pixels:
        out = np.empty((bottom - y, right - x, 3), np.uint8)
        tile_width, tile_height = self.levels[level].tile
        for column, row in self.levels[level].tiles_over(x, y, right, bottom):
            tile = self.read_tile(level, column, row)
            tile_x, tile_y = column * tile_width, row * tile_height
            x0, y0 = max(x, tile_x), max(y, tile_y)
            x1 = min(right, tile_x + tile.shape[1])
            y1 = min(bottom, tile_y + tile.shape[0])
            out[y0 - y : y1 - y, x0 - x : x1 - x] = tile[
                y0 - tile_y : y1 - tile_y, x0 - tile_x : x1 - tile_x
            ]
        return out

    def _replicated(self, level: int, left: int, top: int, right: int, bottom: int) -> Pixels:
        width, height = self.levels[level].size
        # A level that was rounded down ends short of the slide, so a rectangle can miss it.
        x0, x1 = min(max(left, 0), width - 1), max(min(right, width), 1)
        y0, y1 = min(max(top, 0), height - 1), max(min(bottom, height), 1)
        pixels = self._assemble(level, x0, y0, x1, y1)
        vertical = (max(0, y0 - top), max(0, bottom - y1))
        horizontal = (max(0, x0 - left), max(0, right - x1))
        if any(vertical) or any(horizontal):
            pixels = np.pad(pixels, (vertical, horizontal, (0, 0)), mode="edge")
        return pixels[: bottom - top, : right - left]

    def _level(self, level: int) -> Level:
        if not 0 <= level < len(self.levels):
            raise RequestError(
                f"Level {level} does not exist; the slide has levels 0 to {len(self.levels) - 1}."
            )
        return self.levels[level]

    def _check_open(self) -> None:
        if self._closed:
            raise SlideError(f"Slide {self.path.name!r} is closed; open it again to read from it.")


def _release(backend: Backend, cache: TileCache, owner: object) -> None:
    backend.close()
    cache.forget(owner)


_MOST_NAMED = 4
"""Other images of a file that its note names."""

_SHRUNK_HERE = Degradation(
    Kernel("bicubic"),
    sharpening=0.0,
    compression=Compression("none"),
    kernel_source="read",
    compression_source="read",
)


class Slide(StoredPixels):
    """A slide that is open for reading, from any thread.

    Use `napari_cwtnet.slides.open_slide` to make one.

    Parameters
    ----------
    path : Path
        The file.
    backend : Backend
        Its reader; closed with the slide.
    mpp : float, optional
        µm per pixel at level 0, instead of what the file says.
    icc : bool
        Whether an embedded ICC profile is applied, so that pixels are sRGB.
    cache : TileCache
        Where decoded tiles are kept.

    Raises
    ------
    RequestError
        If ``mpp`` is not a pixel size of a slide.
    """

    def __init__(
        self,
        path: Path,
        backend: Backend,
        mpp: float | None = None,
        icc: bool = True,
        cache: TileCache = SHARED_CACHE,
    ) -> None:
        self._resolution = backend.resolution if mpp is None else user_resolution(mpp)
        super().__init__(path, backend, icc, cache)
        self._fingerprint: str | None = None

    @property
    def format(self) -> str:
        """Name of the format, such as ``"aperio"``, ``"dicom"``, ``"ome-tiff"`` or ``"png"``."""
        return self._backend.format

    @property
    def size(self) -> Size:
        """Width and height of level 0, in pixels."""
        return self.levels[0].size

    @property
    def bounds(self) -> Region:
        """The whole slide as a region."""
        return Region(0, 0, *self.size)

    @property
    def mpp(self) -> float | None:
        """µm per pixel at level 0, the mean of both sides; None where it is not known."""
        return self._resolution.mpp

    @property
    def pixel_aspect(self) -> float:
        """Height of a pixel over its width; 1 where the user set `mpp`."""
        return self._resolution.aspect

    @property
    def mpp_by_user(self) -> bool:
        """Whether the user set `mpp`, whatever the file says."""
        return self._resolution.by_user

    @property
    def mpp_note(self) -> str | None:
        """Why `mpp` is absent, or that it was set by the user."""
        return self._resolution.note

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the file is not used or not certain: levels, colours, pixel size; a line each."""
        resolution = self._resolution
        certain = resolution.mpp is None or resolution.by_user
        found = [
            self.image_note,
            *self._backend.notes,
            self.icc_note,
            None if certain else resolution.note,
        ]
        return tuple(note for note in found if note is not None)

    @property
    def origin(self) -> tuple[int, int]:
        """The level-0 pixel from which QuPath counts: of the scanned part, where a file says so."""
        return self._backend.origin

    @property
    def images(self) -> tuple[str, ...]:
        """What each image of the file is, by its number; empty where it can hold only one."""
        return self._backend.images

    @property
    def image(self) -> int:
        """Number of the image that is shown, as `open_slide` takes it."""
        return self._backend.image

    @property
    def explicit_image(self) -> int | None:
        """`image` where `open_slide` has to be asked for it; None if it opens without."""
        return None if self.image == self._backend.default_image else self.image

    @property
    def asks_for_image(self) -> bool:
        """Whether the file does not open unless one of its images is chosen."""
        return self._backend.default_image is None

    @property
    def image_note(self) -> str | None:
        """Which of several images is shown, and which are not; None where there is only one."""
        others = [what for number, what in enumerate(self.images) if number != self.image]
        if not others:
            return None
        named = ", ".join(others[:_MOST_NAMED]) + (", …" if len(others) > _MOST_NAMED else "")
        return (
            f"the file has {len(self.images)} images; shown is number {self.image}, "
            f"{self.images[self.image]}, not {named}"
        )

    @property
    def properties(self) -> Mapping[str, str]:
        """Metadata as the file has it; may hold names and dates, so never exported as a whole."""
        return self._backend.properties

    @cached_property
    def computed(self) -> str | None:
        """The badge of an image that this package wrote: its pixels are no truth. Else None."""
        return computed_badge(self.properties)

    @property
    def computed_place(self) -> tuple[Region, float] | None:
        """What a computed image covers of its slide in level-0 pixels, and its downsample.

        None for a slide, and where the file does not say.
        """
        return computed_place(self.properties)

    @property
    def computed_from(self) -> str | None:
        """`fingerprint` of the scanned slide that a computed image was made of, where it says."""
        return computed_from(self.properties)

    @property
    def fingerprint(self) -> str:
        """Hex digits that tell this slide from others: from its image, never from its label.

        The same whatever the file's name, ``mpp`` and ``icc``.
        """
        if self._fingerprint is None:
            self._check_open()
            digest = hashlib.sha256(repr([tuple(level.size) for level in self.levels]).encode())
            for part in self._backend.identity():
                digest.update(part)
            self._fingerprint = digest.hexdigest()[:32]
        return self._fingerprint

    def read(
        self,
        region: Region,
        downsample: float,
        *,
        replicate: bool = False,
        source: float | None = None,
        by: Filter = "bicubic",
        registered: bool = False,
    ) -> Pixels:
        """Pixels of a region at any downsample from 1 up.

        Output pixel ``k`` covers ``[x + k * downsample, x + (k + 1) * downsample)`` in level-0
        pixels. Taken from the coarsest stored level that is fine enough, resampled with an
        antialiased bicubic kernel unless pixels coincide. Pixels whose centre lies outside the
        slide have the background colour.

        Parameters
        ----------
        region : Region
            In level-0 pixels; may reach beyond the slide.
        downsample : float
            Level-0 pixels per output pixel, at least 1.
        replicate : bool
            Beyond the slide, repeat its edge instead of showing the background: what a network
            wants, whose pixels near the edge would take on the background's colour.
        source : float, optional
            Take it from a stored level of at most this downsample, though a coarser one would be
            fine enough: pixels are then made by the kernel named above, whatever filter the
            scanner made its levels with.
        by : {"bicubic", "box"}
            The kernel; ``box`` is the mean of the area that a pixel covers.
        registered : bool
            Read a level whose content lies beside its place from where it lies: see `Level.shift`.

        Returns
        -------
        ndarray
            (h, w, 3) uint8 RGB, of ``region.size_at(downsample)``.

        Raises
        ------
        RequestError
            If ``downsample`` is below 1, or the region is entirely outside the slide.
        SlideError
            If the file cannot be read there.
        """
        if not math.isfinite(downsample) or downsample < 1:
            raise RequestError(
                f"Downsample {downsample:g} cannot be read; "
                "the slide has no pixels finer than level 0, give 1 or more."
            )
        return self._resampled(region, downsample, replicate, source, by, registered=registered)

    def enlarge(self, region: Region, downsample: float) -> Pixels:
        """Plain enlargement: level 0 at a downsample below 1, bicubic, its edge repeated.

        Parameters
        ----------
        region : Region
            In level-0 pixels; may reach beyond the slide.
        downsample : float
            Level-0 pixels per output pixel, above 0 and at most 1.

        Raises
        ------
        RequestError
            If ``downsample`` is out of range, or the region is entirely outside the slide.
        SlideError
            If the file cannot be read there.
        """
        if not 0 < downsample <= 1:
            raise RequestError(f"Downsample {downsample:g} enlarges nothing; give 0 to 1.")
        return self._resampled(region, downsample, True, None, "bicubic")

    def _resampled(
        self,
        region: Region,
        downsample: float,
        replicate: bool,
        source: float | None,
        by: Filter,
        *,
        registered: bool = False,
    ) -> Pixels:
        if region.intersection(self.bounds) is None:
            raise RequestError(
                f"Region {region} is outside the slide of {self.size.width} × {self.size.height} "
                "pixels; give a region that overlaps it."
            )
        self._check_open()
        size = region.size_at(downsample)
        fine_enough = downsample if source is None else min(downsample, source)
        index = best_level(self.levels, max(1.0, fine_enough))
        out = np.empty((size.height, size.width, 3), np.uint8)
        out[:] = self.background
        columns, rows = range(size.width), range(size.height)
        if not replicate:
            columns = _inside(region.x, downsample, size.width, self.size.width)
            rows = _inside(region.y, downsample, size.height, self.size.height)
        if columns.start < columns.stop and rows.start < rows.stop:
            factor = self.levels[index].downsample
            step = downsample / factor
            across, down = self.levels[index].shift if registered and index else (0.0, 0.0)
            resample(
                lambda *rectangle: self._replicated(index, *rectangle),
                Axis((region.x + across) / factor + columns.start * step, step, len(columns)),
                Axis((region.y + down) / factor + rows.start * step, step, len(rows)),
                out[rows.start : rows.stop, columns.start : columns.stop],
                by=by,
            )
        return out

    def degradation(self, downsample: float, *, source: float | None = None) -> Degradation:
        """What pixels that `read` gives at a downsample went through.

        Those of a stored level went through what the file says; others are shrunk here, from a
        finer one.

        Parameters
        ----------
        downsample, source : float
            As of `read`.
        """
        limit = downsample if source is None else min(downsample, source)
        level = self.levels[best_level(self.levels, limit)]
        if is_of(level, downsample):
            return level.degradation
        return _SHRUNK_HERE

    def shift(self, downsample: float, *, source: float | None = None) -> tuple[float, float]:
        """How far the level that `read` takes lies beside its place: see `Level.shift`."""
        limit = downsample if source is None else min(downsample, source)
        return self.levels[best_level(self.levels, limit)].shift

    def thumbnail(self, max_size: int = 512) -> Pixels:
        """The whole slide, (h, w, 3) uint8 RGB, its longer side ``max_size`` pixels or fewer.

        Raises
        ------
        RequestError
            If ``max_size`` is below 1.
        """
        if max_size < 1:
            raise RequestError(f"Thumbnail size {max_size} is not a size; give 1 or more.")
        return self.read(self.bounds, max(1.0, max(self.size) / max_size))

    def __repr__(self) -> str:
        """Name, format, size, levels and resolution."""
        factors = ", ".join(f"{level.downsample:g}" for level in self.levels)
        return (
            f"Slide({self.path.name!r}, {self.format}, {self.size.width} × {self.size.height}, "
            f"downsamples {factors}, {describe_resolution(self.mpp, 1)}"
            f"{', closed' if self._closed else ''})"
        )


def _inside(start: float, step: float, count: int, extent: int) -> range:
    """Output pixels whose centre lies in ``[0, extent)``."""
    first = math.ceil(-start / step - 0.5)
    last = math.ceil((extent - start) / step - 0.5)
    return range(min(max(first, 0), count), min(max(last, 0), count))
