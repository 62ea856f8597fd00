"""`Slide`: one open slide, its metadata, and its pixels at any downsample from 1 up."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region, Size, describe_resolution
from napari_cwtnet.slides.backend import Backend, Pixels
from napari_cwtnet.slides.cache import SHARED_CACHE, TileCache
from napari_cwtnet.slides.computed import computed_badge, computed_from, computed_place
from napari_cwtnet.slides.degradation import Compression, Degradation, Kernel
from napari_cwtnet.slides.levels import best_level, is_of
from napari_cwtnet.slides.resample import Axis, resample
from napari_cwtnet.slides.resolution import USER_NOTE, user_resolution
from napari_cwtnet.slides.stored import StoredPixels

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
        """µm per pixel at level 0; None where it is not known."""
        return self._resolution.mpp

    @property
    def mpp_note(self) -> str | None:
        """Why `mpp` is absent, or that it was set by the user."""
        return self._resolution.note

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the file is not used or not certain: levels, colours, pixel size; a line each."""
        doubts = [self._resolution.note] if self.mpp is not None else []
        found = [*self._backend.notes, self.icc_note, *doubts]
        return tuple(note for note in found if note is not None and note != USER_NOTE)

    @property
    def origin(self) -> tuple[int, int]:
        """The level-0 pixel from which QuPath counts: of the scanned part, where a file says so."""
        return self._backend.origin

    @property
    def properties(self) -> Mapping[str, str]:
        """Metadata as the file has it; may hold names and dates, so never exported as a whole."""
        return self._backend.properties

    @property
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
        if region.intersection(self.bounds) is None:
            raise RequestError(
                f"Region {region} is outside the slide of {self.size.width} × {self.size.height} "
                "pixels; give a region that overlaps it."
            )
        self._check_open()
        size = region.size_at(downsample)
        index = best_level(self.levels, downsample if source is None else min(downsample, source))
        out = np.empty((size.height, size.width, 3), np.uint8)
        out[:] = self.background
        columns, rows = range(size.width), range(size.height)
        if not replicate:
            columns = _inside(region.x, downsample, size.width, self.size.width)
            rows = _inside(region.y, downsample, size.height, self.size.height)
        if columns.start < columns.stop and rows.start < rows.stop:
            factor = self.levels[index].downsample
            step = downsample / factor
            resample(
                lambda *rectangle: self._replicated(index, *rectangle),
                Axis(region.x / factor + columns.start * step, step, len(columns)),
                Axis(region.y / factor + rows.start * step, step, len(rows)),
                out[rows.start : rows.stop, columns.start : columns.stop],
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
