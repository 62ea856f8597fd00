"""The kernel that made a stored level out of the next finer one, fitted to fields of both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.slides.backend import Pixels
from napari_cwtnet.slides.degradation import (
    SHARPENING_SIGMA,
    Compression,
    Kernel,
    kernel_taps,
    sharpening_response,
)
from napari_cwtnet.slides.degrade import compress

Values = NDArray[np.float64]

FACTORS = (2, 4)
MARGIN = 16
"""Pixels of the coarser level that a fine field reaches beyond the coarse one, on each side."""

LUMA = np.array([0.299, 0.587, 0.114])

_KNOWN = (
    Kernel("box"), Kernel("bicubic"), Kernel("bilinear"), Kernel("lanczos"),
    *(Kernel("gauss", sigma / 10) for sigma in range(4, 16)),
)  # fmt: skip
_AMOUNTS = tuple(tenths / 10 for tenths in range(1, 21))
_FREQUENCIES = np.linspace(0.05, 0.5, 10)
_FAR_APART = (Kernel("box"), Kernel("gauss", 0.8))
_TELLING, _TELLING_CODED = 0.02, 1.0
_REACH = 3
_BAND = 8
_UNEXPLAINED, _UNEXPLAINED_BEFORE_CODEC = 0.15, 0.5
_SHIFT = 0.15
_CLOSE, _CLOSE_SHARPENED, _LEAD = 0.08, 0.03, 0.03
_TRIED_FIELDS, _TRIED = 2, 8
_TIE = 1.05
_CODEC_EXPLAINS = 0.8
_ROUNDING = 1.0
_RIM = 4
_FAITHFUL_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Pair:
    """One field of two levels.

    Parameters
    ----------
    coarse : ndarray
        ``(n, n, 3)`` uint8 RGB; the blocks of its codec begin at its corner.
    fine : ndarray
        ``(f · (n + 2 · MARGIN), same, 3)`` uint8: the same place, and `MARGIN` coarse pixels
        around.
    """

    coarse: Pixels
    fine: Pixels


@dataclass(frozen=True, slots=True)
class Fit:
    """A kernel, and the amount of sharpening after it."""

    kernel: Kernel
    sharpening: float = 0.0


def fit_kernel(
    pairs: Sequence[Pair], factor: int, compression: Compression | None = None
) -> Fit | None:
    """The kernel between two levels.

    Parameters
    ----------
    pairs : sequence of Pair
        Textured fields.
    factor : int
        Pixels of the finer level along one of the coarser: one of `FACTORS`.
    compression : Compression, optional
        What the coarser level went through after the kernel, as far as it is known.

    Returns
    -------
    Fit or None
        A known kernel where one is close, else, for a factor of 2, its taps. None where the
        finer level does not explain the coarser one: they are of different slides, one lies
        beside the other, or noise hides it.
    """
    if not pairs or factor not in FACTORS:
        return None
    lumas = [(pair.coarse @ LUMA, pair.fine @ LUMA) for pair in pairs]
    codec = compression if compression is not None and compression.kind == "jpeg" else None
    if _telling(lumas[:_TRIED_FIELDS], factor) < (_TELLING if codec is None else _TELLING_CODED):
        return None
    taps, unexplained = _axis_fit(lumas, factor)
    most = _UNEXPLAINED if codec is None else _UNEXPLAINED_BEFORE_CODEC
    if not unexplained <= most or _shift(lumas, factor) > _SHIFT:
        return None
    response = _response(taps, factor)
    plain = _ranked(((kernel, 0.0) for kernel in _KNOWN), response, factor)
    sharpened = _ranked(((k, amount) for k in _KNOWN for amount in _AMOUNTS), response, factor)
    same = _same_pixels(
        lumas[:_TRIED_FIELDS],
        factor,
        codec,
        [fit for _, fit in plain],
        [fit for _, fit in sharpened[:_TRIED]],
    )
    if same is not None or unexplained > _UNEXPLAINED:
        return same
    best = plain[0][0]
    if best <= _CLOSE:
        # Codecs leave their mark on the response: the most usual kernel wins what is a tie.
        close = {fit for apart, fit in plain if apart <= min(_CLOSE, best + _LEAD)}
        return next(fit for fit in map(Fit, _KNOWN) if fit in close)
    if codec is not None and (codec.quality or 0) < _FAITHFUL_QUALITY:
        return None
    if sharpened[0][0] <= _CLOSE_SHARPENED:
        return sharpened[0][1]
    if factor != 2:
        return None
    half = [round(float(tap), 4) for tap in taps]
    return Fit(Kernel("fitted", taps=(*reversed(half), *half)))


def _telling(lumas: Sequence[tuple[Values, Values]], factor: int) -> float:
    """Mean square, in grey levels, by which kernels differ in what they make of some fields.

    On smooth ones by so little that rounding and codecs decide which fits best.
    """
    box, soft = (_shrinking(kernel, factor, len(lumas[0][0])) for kernel in _FAR_APART)
    return float(
        np.mean([np.mean((box @ fine @ box.T - soft @ fine @ soft.T) ** 2) for _, fine in lumas])
    )


def _axis_fit(lumas: Sequence[tuple[Values, Values]], factor: int) -> tuple[Values, float]:
    """Symmetric taps along one axis, outwards from the centre, and what they leave unexplained.

    Bands of some pixels are averaged across the axis first: what codecs take away is mostly fine
    in both directions, and would make the kernel look softer than it is.
    """
    half = _REACH * factor
    gram, product = np.zeros((half, half)), np.zeros(half)
    square = detail = 0.0
    centre = MARGIN * factor + factor // 2
    for coarse, fine in [*lumas, *((c.T, f.T) for c, f in lumas)]:
        side = coarse.shape[1]
        values = _bands(coarse, _BAND)
        rows = _bands(fine[MARGIN * factor :], _BAND * factor)[: len(values)]
        means = values.mean(1, keepdims=True)
        values, rows = values - means, rows - means
        columns = np.stack([
            (
                rows[:, centre + tap :: factor][:, :side]
                + rows[:, centre - 1 - tap :: factor][:, :side]
            ).ravel()
            for tap in range(half)
        ])  # fmt: skip
        gram += columns @ columns.T
        product += columns @ values.ravel()
        square += float((values**2).sum())
        detail += float(((values[:, 1:-1] - (values[:, :-2] + values[:, 2:]) / 2) ** 2).sum())
    gram += np.eye(half) * (1e-7 * np.trace(gram) / half + 1e-9)
    # The taps of both sides have the sum 1.
    bordered = np.block([[gram, np.ones((half, 1))], [np.ones((1, half)), np.zeros((1, 1))]])
    taps = np.linalg.solve(bordered, np.append(product, 0.5))[:half]
    residual = float(square - 2 * taps @ product + taps @ gram @ taps)
    return taps, residual / detail if detail > 0 else np.inf


def _bands(plane: Values, height: int) -> Values:
    count = len(plane) // height
    return np.asarray(plane[: count * height].reshape(count, height, -1).mean(1))


def _shift(lumas: Sequence[tuple[Values, Values]], factor: int) -> float:
    """Pixels of the coarser level by which the finer one lies beside it, along either axis."""
    normal, product = np.zeros((2, 2)), np.zeros(2)
    for coarse, fine in lumas:
        inner = fine[MARGIN * factor : -MARGIN * factor, MARGIN * factor : -MARGIN * factor]
        shrunk = _bands(_bands(inner, factor).T, factor).T
        down, right = np.gradient((shrunk + coarse) / 2)
        slopes = np.stack([right.ravel(), down.ravel()])
        normal += slopes @ slopes.T
        product += slopes @ (shrunk - coarse).ravel()
    return float(np.abs(np.linalg.lstsq(normal, product, rcond=None)[0]).max())


def _response(half: Sequence[float] | Values, factor: int) -> Values:
    """Of symmetric taps, outwards from the centre, at waves of the coarser image."""
    places = (np.arange(len(half)) + 0.5) / factor
    return np.asarray(2 * np.cos(2 * np.pi * np.outer(_FREQUENCIES, places)) @ np.asarray(half))


@cache
def _known_response(kernel: Kernel, factor: int) -> Values:
    taps = kernel_taps(kernel, factor)
    return _response(taps[len(taps) // 2 :], factor)


def _ranked(
    candidates: Iterable[tuple[Kernel, float]], response: Values, factor: int
) -> list[tuple[float, Fit]]:
    """How far each candidate's response is from another, nearest first."""
    found = []
    for kernel, amount in candidates:
        raised = [sharpening_response(amount, frequency) for frequency in _FREQUENCIES]
        apart = _known_response(kernel, factor) * raised - response
        found.append((float(np.sqrt(np.mean(apart**2))), Fit(kernel, amount)))
    return sorted(found, key=lambda one: one[0])


def _same_pixels(
    lumas: Sequence[tuple[Values, Values]],
    factor: int,
    codec: Compression | None,
    plain: Sequence[Fit],
    sharpened: Sequence[Fit],
) -> Fit | None:
    """The candidate that makes the coarser level's own pixels, codec included, if one does.

    One does where the level was made of the decoded finer one. A scanner that makes it of what it
    saw before the codec leaves noise that only the response can be read through.
    """
    error, best = _nearest(lumas, factor, codec, plain)
    other_error, other = _nearest(lumas, factor, codec, sharpened)
    if other_error * _TIE < error:
        error, best = other_error, other
    if codec is None:
        return best if error <= _ROUNDING else None
    return best if error < _CODEC_EXPLAINS * _error(lumas, factor, None, best) else None


def _nearest(
    lumas: Sequence[tuple[Values, Values]],
    factor: int,
    codec: Compression | None,
    fits: Sequence[Fit],
) -> tuple[float, Fit]:
    errors = [(_error(lumas, factor, codec, fit), fit) for fit in fits]
    least = min(error for error, _ in errors)
    usual = [one for one in errors if one[0] <= _TIE * least]
    return min(usual, key=lambda one: _KNOWN.index(one[1].kernel))


def _error(
    lumas: Sequence[tuple[Values, Values]], factor: int, codec: Compression | None, fit: Fit
) -> float:
    """Mean square, in grey levels, between the coarser level and what a candidate makes."""
    errors = []
    for coarse, fine in lumas:
        shrinking = _shrinking(fit.kernel, factor, len(coarse))
        made = shrinking @ fine @ shrinking.T
        if fit.sharpening:
            blurring = _blurring(len(made))
            made += fit.sharpening * (made - blurring @ made @ blurring.T)
        made = made[_RIM:-_RIM, _RIM:-_RIM]
        if codec is not None:
            grey = np.clip(np.rint(made), 0, 255).astype(np.uint8)
            made = compress(np.dstack([grey] * 3), codec)[..., 1].astype(np.float64)
        errors.append(np.mean((made - coarse) ** 2))
    return float(np.mean(errors))


@lru_cache(128)
def _shrinking(kernel: Kernel, factor: int, side: int) -> Values:
    """A matrix that shrinks a fine field along one axis to its coarse one and a rim around it."""
    taps = kernel_taps(kernel, factor)
    matrix = np.zeros((side + 2 * _RIM, factor * (side + 2 * MARGIN)))
    for row, line in enumerate(matrix):
        start = (MARGIN - _RIM + row) * factor + factor // 2 - len(taps) // 2
        line[start : start + len(taps)] = taps
    return matrix


@cache
def _blurring(side: int) -> Values:
    places = np.arange(side)
    matrix = np.exp(-0.5 * ((places[:, np.newaxis] - places) / SHARPENING_SIGMA) ** 2)
    return np.asarray(matrix / matrix.sum(1, keepdims=True))
