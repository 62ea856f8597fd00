"""Whether pixels of a lossless file once were a JPEG: the steps that its quantisation left."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.slides.backend import Pixels
from napari_cwtnet.slides.compression import standard_tables
from napari_cwtnet.slides.degrade import ZIGZAG

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

_PLACES = np.arange(8)
_DCT = np.sqrt(2 / 8) * np.cos(np.pi * np.outer(_PLACES, 2 * _PLACES + 1) / 16)
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
