"""How far a stored level lies beside the place that its size gives it.

Scanners make levels from level 0, and those tried lie within 0.02 pixels of it. Programs that write
pyramids anew may take every second pixel, a quarter of a coarse pixel off. To a network that is
given the next-higher level, half a pixel costs most of its gain (decision 0023).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.slides.kernel_fit import LUMA, MARGIN, Pair

Values = NDArray[np.float64]

IN_PLACE = (0.0, 0.0)
LEAST_SHIFT = 0.05
"""Coarse pixels; less is in place."""
_APART = 0.1
"""Coarse pixels by which fields may differ: where a level drifts, one shift would harm a part."""
_TIE = 0.03
"""Coarse pixels by which the drift may fit worse than the shift, and yet is believed."""
_EXPLAINED = 0.3
"""Least part of the difference between the levels that the shift has to explain."""
_MOST_TRIED = 6
_SOFT = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
"""Takes away what a kernel, its folding or a codec does to the finest waves."""
_FEWEST_FIELDS = 2


def level_shift(
    pairs: Sequence[Pair],
    factor: int,
    places: Values | None = None,
    drift: Values | None = None,
) -> tuple[float, float]:
    """Shift of the content of the coarser level against the finer one.

    The nearest whole shift comes from phase correlation, the rest from least squares on the slopes
    (Lucas and Kanade 1981).

    Parameters
    ----------
    pairs : sequence of Pair
        Fields with details.
    factor : int
        Pixels of the finer level along one of the coarser.
    places : ndarray, optional
        Centres of the fields, ``(n, 2)`` (x, y), coarse pixels.
    drift : ndarray, optional
        Along x and y, coarse pixels for each coarse pixel: how far the content would drift if the
        level were the whole finer one resized to its size. Zero if the sizes fit exactly.

    Returns
    -------
    tuple of float
        Right and down, coarse pixels, the median over the fields; zero where it is below 0.05,
        where the drift says as much, where a field differs from it by more than 0.1, or where it
        explains less than 30 % of the difference between the levels.
    """
    if len(pairs) < _FEWEST_FIELDS:
        return IN_PLACE
    lumas = [(pair.coarse @ LUMA, pair.fine @ LUMA) for pair in pairs]
    shift = _whole_shift(lumas, factor)
    tried: list[tuple[int, int]] = []
    while (read_at := _fine_pixels(shift, factor)) not in tried:
        tried.append(read_at)
        if len(tried) > _MOST_TRIED:
            return IN_PLACE
        shifts = np.array([
            _remaining(_soft(coarse), _soft(_shrunk(fine, factor, read_at)))
            - np.array(read_at) / factor
            for coarse, fine in lumas
        ])  # fmt: skip
        shift = np.median(shifts, axis=0)
    if places is not None and drift is not None:
        off_drift, off_shift = (
            np.abs(shifts - said).max(axis=0) for said in (places * drift, shift)
        )
        within = np.abs(drift) * max(pairs[0].coarse.shape) / 2  # details may lie on one side
        drifting = off_drift < off_shift + within + _TIE
        shift = np.where(drifting, 0, shift)
        shifts[:, drifting] = 0
        read_at = _fine_pixels(shift, factor)
    if np.abs(shift).max() < LEAST_SHIFT or np.abs(shifts - shift).max() > _APART:
        return IN_PLACE
    before = _difference(lumas, factor, (0, 0), np.zeros(2))
    after = _difference(lumas, factor, read_at, shift + np.array(read_at) / factor)
    if after > (1 - _EXPLAINED) * before:
        return IN_PLACE
    return round(float(shift[0]), 3), round(float(shift[1]), 3)


def _fine_pixels(shift: Values, factor: int) -> tuple[int, int]:
    """Where to read the finer level so that it comes nearest to the coarser one."""
    most = MARGIN * factor
    across, down = np.clip(np.rint(-shift * factor), -most, most).astype(int)
    return int(across), int(down)


def _shrunk(fine: Values, factor: int, at: tuple[int, int]) -> Values:
    """Means of the finer field at an offset (x, y), the size of the coarser one."""
    margin = MARGIN * factor
    height, width = (side - 2 * margin for side in fine.shape)
    x, y = margin + at[0], margin + at[1]
    inner = fine[y : y + height, x : x + width]
    means = inner.reshape(height // factor, factor, width // factor, factor).mean((1, 3))
    return np.asarray(means)


def _whole_shift(lumas: Sequence[tuple[Values, Values]], factor: int) -> Values:
    """By phase correlation of all fields together, coarse pixels; zero beyond the margin."""
    product: NDArray[np.complex128] | None = None
    for coarse, fine in lumas:
        window = np.outer(np.hanning(coarse.shape[0]), np.hanning(coarse.shape[1]))
        first, second = (
            np.fft.fft2((plane - plane.mean()) * window)
            for plane in (coarse, _shrunk(fine, factor, (0, 0)))
        )
        one = first * second.conj()
        product = one if product is None else product + one
    assert product is not None
    likeness = np.fft.ifft2(product / np.maximum(np.abs(product), 1e-9)).real
    down, across = np.unravel_index(likeness.argmax(), likeness.shape)
    sides = np.array(likeness.shape[::-1])
    shift = np.array([across, down], float)
    shift -= np.where(shift > sides / 2, sides, 0)
    return shift if np.abs(shift).max() < MARGIN else np.zeros(2)


def _slopes(plane: Values) -> Values:
    down, across = np.gradient(plane)
    return np.stack([across.ravel(), down.ravel()])


def _remaining(coarse: Values, made: Values) -> Values:
    slopes = _slopes((coarse + made) / 2)
    normal = slopes @ slopes.T
    return np.asarray(np.linalg.lstsq(normal, slopes @ (made - coarse).ravel(), rcond=None)[0])


def _difference(
    lumas: Sequence[tuple[Values, Values]], factor: int, at: tuple[int, int], shift: Values
) -> float:
    """Sum of squares between the levels, the finer one read at a place and moved by the rest."""
    total = 0.0
    for coarse, fine in lumas:
        wanted, made = _soft(coarse), _soft(_shrunk(fine, factor, at))
        moved = made.ravel() - shift @ _slopes((wanted + made) / 2)
        total += float(((wanted.ravel() - moved) ** 2).sum())
    return total


def _soft(plane: Values) -> Values:
    """Blurred, and without its mean: scans differ in brightness."""
    for axis in (0, 1):
        plane = np.apply_along_axis(np.convolve, axis, plane, _SOFT, "valid")
    return np.asarray(plane - plane.mean())
