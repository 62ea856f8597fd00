"""The stored pixels of an open slide: tiles and rectangles of its levels, as sRGB."""

from __future__ import annotations

import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from napari_cwtnet.errors import RequestError, SlideError
from napari_cwtnet.slides.backend import Backend, Colour, Pixels
from napari_cwtnet.slides.cache import TileCache
from napari_cwtnet.slides.colour import ProfileToSrgb, over_background
from napari_cwtnet.slides.file_degradation import FileDegradation
from napari_cwtnet.slides.levels import Level


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
            replace(level, look=partial(known.of_level, index))
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
