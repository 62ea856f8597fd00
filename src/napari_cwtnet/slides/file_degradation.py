"""What a file says of its own pixels, level by level: looked for when first asked, then kept."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.errors import SlideError
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.backend import Backend, Pixels
from napari_cwtnet.slides.backends.tiff_pages import DECODE_ERRORS
from napari_cwtnet.slides.colour import over_background
from napari_cwtnet.slides.compression import compression_of, standard_tables
from napari_cwtnet.slides.degradation import Compression, Degradation, Source
from napari_cwtnet.slides.degrade import ZIGZAG
from napari_cwtnet.slides.fork_safety import renewed_after_fork
from napari_cwtnet.slides.kernel_fit import FACTORS, MARGIN, Fit, Pair, fit_kernel
from napari_cwtnet.slides.level_shift import IN_PLACE, LEAST_SHIFT, level_shift

Values = NDArray[np.float64]

_LUMA = np.array([0.299, 0.587, 0.114])
_FREQUENCIES = range(1, 22)
_STEPS = np.arange(2, 81)
_FEWEST_VALUES = 16
_COMB = 0.75
_EXPECTED = np.exp(-2 * np.pi**2 * 0.12 / _STEPS**2)
"""What is left of a comb when luma was rounded at decoding, and then red, green and blue."""
_FEWEST_STEPS = 5
_AGREE = 0.75
_FINE = slice(4, 8)

_FREQUENCY = np.arange(8)
_DCT = np.sqrt(2 / 8) * np.cos(np.pi * np.outer(_FREQUENCY, 2 * _FREQUENCY + 1) / 16)
_DCT[0] = math.sqrt(1 / 8)


def jpeg_quality_of(fields: Sequence[Pixels]) -> int | None:
    """Of the JPEG that the pixels came out of; None where there is no clear trace of one.

    Found are pixels that were not resized, nor much changed otherwise, since they were decoded.

    Parameters
    ----------
    fields : sequence of ndarray
        ``(h, w, 3)`` uint8 RGB of tissue, that begin at multiples of 8 pixels of their level.

    Returns
    -------
    int or None
        Of libjpeg's tables, 1..100.
    """
    lumas = [field @ _LUMA for field in fields]
    phases = Counter(map(_grid, lumas))
    if not phases:
        return None
    (x, y), count = phases.most_common(1)[0]
    if 2 * count <= len(lumas):
        return None
    pooled = np.concatenate([_coefficients(luma[y:, x:]).reshape(-1, 64) for luma in lumas])
    steps = {f: step for f in _FREQUENCIES if (step := _step(pooled[:, ZIGZAG[f]]))}
    if len(steps) < _FEWEST_STEPS:
        return None
    fits = {
        quality: sum(standard_tables(quality)[0][f] == step for f, step in steps.items())
        for quality in range(1, 101)
    }
    best = max(fits.values())
    if best < _AGREE * len(steps):
        return None
    alike = [quality for quality, count in fits.items() if count == best]
    return min(alike, key=lambda quality: quality % 5 != 0)


def _grid(luma: Values) -> tuple[int, int]:
    """Where the codec's blocks begin: there, fine waves that it rounded to nothing are nothing."""
    still = {
        (x, y): float((np.abs(_coefficients(luma[y:, x:])[:, _FINE, _FINE]) < 0.5).mean())
        for x in range(8)
        for y in range(8)
    }
    return max(still, key=lambda phase: still[phase])


def _coefficients(luma: Values) -> Values:
    """DCT of each block, ``(n, 8, 8)``."""
    rows, columns = luma.shape[0] // 8, luma.shape[1] // 8
    blocks = luma[: 8 * rows, : 8 * columns].reshape(rows, 8, columns, 8).swapaxes(1, 2)
    return np.asarray(_DCT @ blocks.reshape(-1, 8, 8) @ _DCT.T)


def _step(values: Values) -> int | None:
    """The coarsest step that the values of one frequency are multiples of; None without one."""
    sizes = np.abs(values)
    # Of a step too coarse, values about its half are counted, too, which are no multiples.
    phases = np.cos(2 * np.pi * sizes / _STEPS[:, np.newaxis])
    counted = sizes > _STEPS[:, np.newaxis] / 2
    counts = counted.sum(1)
    comb = np.where(counts >= _FEWEST_VALUES, (phases * counted).sum(1) / np.maximum(counts, 1), 0)
    fitting = np.flatnonzero(comb > _COMB * _EXPECTED)
    if not len(fitting):
        return None
    # Where most values are a single step, the neighbours of the step fit, too.
    last = np.split(fitting, np.flatnonzero(np.diff(fitting) > 1) + 1)[-1]
    return int(_STEPS[last[np.argmax(comb[last])]])


_SIDES = (96, 64, 48)
_TRACE_SIDE = 160
_FIELDS, _TRACE_FIELDS = 4, 3
_LOOKED_PLACES = 4
_LOOKED_AT = 2**22
_BLOCKS = 16
_READ_ERRORS = (SlideError, *DECODE_ERRORS)
_KEPT_BYTES = 64 * 2**20
_WHOLE = 1e-6
_FEWEST_DETAILS = 1.0


class FileDegradation:
    """Degradation and place of each stored level of an open file, for reading from any thread.

    Parameters
    ----------
    backend : Backend
        The file's reader.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.RLock()
        self._found: dict[int, Degradation] = {}
        self._shifts: dict[int, tuple[float, float]] = {}
        """Against the next finer level, in pixels of the level."""
        self._places: dict[int, tuple[float, float]] = {}
        self._tiles: dict[tuple[int, int, int], Pixels] = {}
        renewed_after_fork(self)

    def renew_after_fork(self) -> None:
        """Have a lock that no thread of another process holds."""
        self._lock = threading.RLock()

    def of_level(self, level: int) -> Degradation:
        """Compression as the file has it; kernel as fitted to this level and the next finer one.

        The first call for a level reads some fields of both. What cannot be read is not known.
        """
        with self._lock:
            if level in self._found:
                return self._found[level]
            found, whole = self._look(level)
            self._tiles.clear()
            if whole:  # a disk that was away may be there next time
                self._found[level] = found
            return found

    def shift_of(self, level: int) -> tuple[float, float]:
        """Right and down, level-0 pixels, by which its content lies beside its place.

        Measured on the fields of `of_level`, once: what could not be read then counts as in place,
        so that all tiles of an open file are read alike.
        """
        with self._lock:
            if level not in self._places:
                self._places[level] = self._place(level)
            return self._places[level]

    def _place(self, level: int) -> tuple[float, float]:
        if not level:
            return IN_PLACE
        self.of_level(level)
        downsample = self._backend.levels[level].downsample
        before, own = self.shift_of(level - 1), self._shifts.get(level, IN_PLACE)
        across, down = (round(a + b * downsample, 3) for a, b in zip(before, own, strict=True))
        least = LEAST_SHIFT * downsample
        return (across, down) if max(abs(across), abs(down)) >= least else IN_PLACE

    def _look(self, level: int) -> tuple[Degradation, bool]:
        """What is found, and whether all that it takes could be read."""
        compression, source, fit, whole = None, None, None, True
        try:
            compression, source = self._compression(level)
        except _READ_ERRORS:
            whole = False
        try:
            fit = self._fit(level, compression) if level else None
        except _READ_ERRORS:
            whole = False
        found = Degradation(compression=compression, compression_source=source)
        if fit is not None:
            found = replace(
                found, kernel=fit.kernel, sharpening=fit.sharpening, kernel_source="fitted"
            )
        return found, whole

    def _compression(self, level: int) -> tuple[Compression | None, Source | None]:
        encoding = self._backend.encoding(level)
        found = None if encoding is None else compression_of(encoding)
        if found is None:
            return None, None
        if found.kind == "none":
            quality = jpeg_quality_of(self._trace_fields(level))
            if quality is not None:
                return Compression("jpeg", quality), "estimated"
        return found, "read"

    def _trace_fields(self, level: int) -> list[Pixels]:
        size = self._backend.levels[level].size
        side = min(_TRACE_SIDE, *size)
        if side < min(_SIDES):
            return []
        places = self._textured(level, side, 0)[:_TRACE_FIELDS]
        return [self._read(level, x, y, side, side) for x, y in places]

    def _fit(self, level: int, compression: Compression | None) -> Fit | None:
        fine, coarse = self._backend.levels[level - 1], self._backend.levels[level]
        factor = coarse.downsample / fine.downsample
        whole = round(factor)
        if whole not in FACTORS or abs(factor - whole) > _WHOLE * factor:
            return None
        shorter = min(coarse.size.width, coarse.size.height, *(s // whole for s in fine.size))
        side = next((s for s in _SIDES if s + 2 * MARGIN + _BLOCKS <= shorter), None)
        if side is None:
            return None
        around = side + 2 * MARGIN
        places = self._textured(level, side, MARGIN)[:_FIELDS]
        pairs = [
            Pair(
                self._read(level, x, y, side, side),
                self._read(
                    level - 1, (x - MARGIN) * whole, (y - MARGIN) * whole,
                    around * whole, around * whole,
                ),
            )
            for x, y in places
        ]  # fmt: skip
        drift = 1 - np.divide(fine.size, coarse.size) / whole
        centres = np.array(places).reshape(-1, 2) + side / 2
        self._shifts[level] = level_shift(pairs, whole, centres, drift)
        return fit_kernel(pairs, whole, compression)

    def _textured(self, level: int, side: int, margin: int) -> list[tuple[int, int]]:
        """Corners of fields spread over a level that have details, most first.

        They lie on multiples of the side of a codec's largest blocks.
        """
        size, tile = self._backend.levels[level].size, self._backend.levels[level].tile
        if level:
            fine = self._backend.levels[level - 1]
            factor = self._backend.levels[level].downsample / fine.downsample
            size = Size(*(min(a, int(b / factor)) for a, b in zip(size, fine.size, strict=True)))
        places = max(1, min(_LOOKED_PLACES, int((_LOOKED_AT / (tile.width * tile.height)) ** 0.5)))
        found = []
        for y in _spread(size.height, side, margin, places):
            for x in _spread(size.width, side, margin, places):
                field = self._read(level, x, y, side, side).astype(np.float32).mean(2)
                details = np.abs(np.diff(field, axis=0)).mean() + np.abs(np.diff(field)).mean()
                found.append((-float(details), x, y))
        return [(x, y) for details, x, y in sorted(found) if -details > _FEWEST_DETAILS]

    def _read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Stored pixels inside a level, ``(height, width, 3)``, without any ICC profile applied."""
        out = np.empty((height, width, 3), np.uint8)
        stored = self._backend.levels[level]
        for column, row in stored.tiles_over(x, y, x + width, y + height):
            tile = self._tile(level, column, row)
            left, top = column * stored.tile.width - x, row * stored.tile.height - y
            x0, y0 = max(left, 0), max(top, 0)
            x1, y1 = min(left + tile.shape[1], width), min(top + tile.shape[0], height)
            out[y0:y1, x0:x1] = tile[y0 - top : y1 - top, x0 - left : x1 - left]
        return out

    def _tile(self, level: int, column: int, row: int) -> Pixels:
        key = (level, column, row)
        if key not in self._tiles:
            tile = self._backend.levels[level].tile
            # Before the next one is decoded: a single one may be as large as memory allows.
            room = _KEPT_BYTES - 3 * tile.width * tile.height
            while self._tiles and sum(kept.nbytes for kept in self._tiles.values()) > room:
                del self._tiles[next(iter(self._tiles))]
            pixels = self._backend.read_tile(level, column, row)
            self._tiles[key] = over_background(pixels, self._backend.background)
        return self._tiles[key]


def _spread(length: int, side: int, margin: int, count: int) -> Iterator[int]:
    """Where some fields begin along an axis, on multiples of `_BLOCKS`."""
    last = (length - side - margin) // _BLOCKS
    first = -(-margin // _BLOCKS)
    # The outermost places are often glass.
    inner = count + 2 if last - first > count else count
    places = np.linspace(first, last, inner)[int(inner > count) : count + 1]
    yield from sorted({int(place) * _BLOCKS for place in places})
