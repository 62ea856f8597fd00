"""A file whose pixels are stored turned or mirrored, as the Orientation tag of TIFF has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.backend import Backend, Level, Pixels
from napari_cwtnet.slides.compression import Encoding
from napari_cwtnet.slides.pyramid import rectangle

# By TIFF's number: whether rows and columns change places, and then which axis is mirrored (x, y).
_TURNS = {
    2: (False, True, False), 3: (False, True, True), 4: (False, False, True),
    5: (True, False, False), 6: (True, True, False), 7: (True, True, True), 8: (True, False, True),
}  # fmt: skip


class TurnedBackend:
    """Another backend's pixels, upright.

    Parameters
    ----------
    backend : Backend
        Of the file, in stored order; closed with this.
    orientation : int
        2..8, as of TIFF's tag 274.
    """

    def __init__(self, backend: Backend, orientation: int) -> None:
        self._backend = backend
        self._orientation = orientation
        self._swapped, *self._mirrored = _TURNS[orientation]
        self.format = backend.format
        known = backend.resolution
        self.resolution = known.turned() if self._swapped else known
        self.properties = backend.properties
        self.background = backend.background
        self.icc_profile = backend.icc_profile
        self.origin = backend.origin
        self.images, self.image = backend.images, backend.image
        self.default_image = backend.default_image
        upright = [self._upright(level) for level in backend.levels]
        finest = upright[0].size
        self._numbers = [i for i, one in enumerate(upright) if self._registered(finest, one)]
        self.levels = tuple(upright[number] for number in self._numbers)
        self.notes = (*backend.notes, *self._left_out(upright))

    def read_tile(self, level: int, column: int, row: int) -> Pixels:
        """One tile, cut at the level's edge: (h, w, 3) RGB or (h, w, 4) RGBA, uint8."""
        number, upright = self._numbers[level], self.levels[level]
        spans = []
        for index, (at, mirrored) in enumerate(zip((column, row), self._mirrored, strict=True)):
            start = at * upright.tile[index]
            end = min(start + upright.tile[index], upright.size[index])
            side = upright.size[index]
            spans.append((side - end, side - start) if mirrored else (start, end))
        if self._swapped:
            spans.reverse()
        (left, right), (top, bottom) = spans
        pixels = rectangle(
            self._backend.levels[number],
            lambda *at: self._backend.read_tile(number, *at),
            (left, top, right, bottom),
        )
        if self._swapped:
            pixels = pixels.transpose(1, 0, 2)
        across, down = (slice(None, None, -1 if one else 1) for one in self._mirrored)
        return np.ascontiguousarray(pixels[down, across])

    def encoding(self, level: int) -> Encoding | None:
        """How the tiles of a level are encoded; None where that is not known."""
        return self._backend.encoding(self._numbers[level])

    def identity(self) -> Iterator[bytes]:
        """That of the stored pixels, and how they are turned."""
        yield b"orientation %d" % self._orientation
        yield from self._backend.identity()

    def close(self) -> None:
        """Let go of the file."""
        self._backend.close()

    def _upright(self, level: Level) -> Level:
        if not self._swapped:
            return level
        size, tile = (Size(*reversed(one)) for one in (level.size, level.tile))
        return replace(level, size=size, tile=tile)

    def _registered(self, finest: Size, level: Level) -> bool:
        """A mirrored level begins where its last pixel ended: with level 0, or beside it."""
        return all(
            side * level.downsample == whole
            for side, whole, mirrored in zip(level.size, finest, self._mirrored, strict=True)
            if mirrored
        )

    def _left_out(self, upright: list[Level]) -> Iterator[str]:
        for number, level in enumerate(upright):
            if number not in self._numbers:
                yield (
                    f"level of {level.size.width} × {level.size.height} pixels is not used: turned "
                    "upright, as the file asks for, it does not begin where level 0 does"
                )
