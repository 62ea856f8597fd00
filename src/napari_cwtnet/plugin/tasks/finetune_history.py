"""Losses and measurements of a fine-tuning, for curves and words.

One thread adds, another reads: whatever is added is whole when it can be seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.training.events import Validation

MOST_LOSSES = 600
"""More are merged two by two, so that a long run is drawn as quickly as a short one."""

Row = Mapping[str, float | None]


class History:
    """What has been measured so far.

    Attributes
    ----------
    validations : list of Validation
        In order; the first is of the start model, where the run has one.
    """

    def __init__(self) -> None:
        self.validations: list[Validation] = []
        self._losses: list[tuple[float, float]] = []
        self._open: list[tuple[float, float]] = []
        self._steps_each = 1

    @property
    def start(self) -> Validation | None:
        """The start model; None until it is measured, or where the log of that is lost."""
        first = self.validations[0] if self.validations else None
        return first if first is not None and first.step == 0 else None

    @property
    def best(self) -> Validation | None:
        """The best model so far; the start model where nothing was better."""
        return next((one for one in reversed(self.validations) if one.best), None)

    @property
    def version(self) -> tuple[int, int, int]:
        """Changes when there is something new."""
        return self._steps_each, len(self._losses), len(self.validations)

    def add(self, event: Validation) -> None:
        """Note a measurement."""
        self.validations.append(event)

    def add_loss(self, step: float, loss: float) -> None:
        """Note a step."""
        self._open.append((step, loss))
        if len(self._open) < self._steps_each:
            return
        self._losses.append(_mean(self._open))
        self._open = []
        if len(self._losses) >= MOST_LOSSES:
            pairs = zip(self._losses[::2], self._losses[1::2], strict=True)
            self._steps_each *= 2
            self._losses = [_mean(pair) for pair in pairs]

    def take_up(self, rows: Sequence[Row]) -> None:
        """Begin with what the log of an earlier session says."""
        best = -math.inf
        for row in rows:
            one = _validation(row)
            start = self.start or one
            kept = score(one) > best and not _is_below(one, start)
            best = max(best, score(one)) if kept else best
            self.add(_validation(row, best=kept))
            if row["loss"] is not None:
                self.add_loss(one.step, row["loss"])

    def losses(self) -> NDArray[np.float64]:
        """Steps and losses ``(2, n)``, with ``n`` below ``MOST_LOSSES``: means over some steps."""
        return np.array(self._losses, dtype=np.float64).reshape(-1, 2).T


def score(one: Validation) -> float:
    """What models are compared by, dB: the mean of both modes where there are two."""
    if one.psnr_with_reference is None:
        return one.psnr
    return (one.psnr + one.psnr_with_reference) / 2


def cross_scale(one: Validation) -> tuple[float, float] | None:
    """PSNR with a reference, and of its bicubic enlargement, dB; None where that says nothing.

    At ×2 the reference is the truth, whose PSNR is infinite.
    """
    psnr, bicubic = one.psnr_with_reference, one.psnr_reference_bicubic
    if psnr is None or bicubic is None or not math.isfinite(bicubic):
        return None
    return psnr, bicubic


def main_figures(one: Validation) -> tuple[float, float]:
    """PSNR of the model and of bicubic, dB, in the mode that it is meant for."""
    return cross_scale(one) or (one.psnr, one.psnr_bicubic)


def _mean(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    steps, losses = zip(*pairs, strict=True)
    return sum(steps) / len(pairs), sum(losses) / len(pairs)


def _is_below(one: Validation, start: Validation) -> bool:
    pairs = (
        (one.psnr, start.psnr),
        (one.psnr_with_reference, start.psnr_with_reference),
    )
    return any(a is not None and b is not None and a < b for a, b in pairs)


def _validation(row: Row, *, best: bool = False) -> Validation:
    return Validation(
        int(row["step"] or 0),
        float(row["psnr"] or 0),
        float(row["bicubic"] or 0),
        row["with_reference"],
        row["reference_bicubic"],
        best,
    )
