"""What a result added to, or took from, what was known before: a signed map of brightness."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.enhancement.plan import Plan
from napari_cwtnet.enhancement.quality import enlarged, truth
from napari_cwtnet.errors import RequestError
from napari_cwtnet.slides import Slide

Against = Literal["truth", "bicubic"]

_STEPS = (2, 5, 10, 20, 50, 100, 255)
_SHOWN_PERCENT = 99.5


def suiting_baseline(plan: Plan) -> Against:
    """The slide's own pixels where they are the truth, else what bicubic makes of LR."""
    return "truth" if plan.checkable else "bicubic"


def signed_difference(
    slide: Slide, plan: Plan, image: NDArray[np.uint8], against: Against
) -> NDArray[np.float32]:
    """Result minus baseline, mean of red, green and blue.

    Parameters
    ----------
    slide : Slide
        What was enhanced.
    plan : Plan
        How.
    image : ndarray
        ``(height, width, 3)`` uint8, what came out.
    against : {"truth", "bicubic"}
        The slide's own pixels, or the bicubic enlargement of LR.

    Returns
    -------
    ndarray
        ``(height, width)`` float32, -255..255; above 0 where the result is brighter.

    Raises
    ------
    RequestError
        If the slide holds no truth, or the baseline is unknown.
    """
    if against not in get_args(Against):
        raise RequestError(f"Baseline {against!r} is unknown; choose truth or bicubic.")
    baseline = truth(slide, plan) if against == "truth" else enlarged(slide, plan, reference=False)
    if baseline is None:
        raise RequestError("Baseline truth: the slide has no pixels this fine; choose bicubic.")
    sums = image.sum(axis=2, dtype=np.int16) - baseline.sum(axis=2, dtype=np.int16)
    return np.asarray(sums / np.float32(3), np.float32)


def symmetric_limit(difference: NDArray[np.float32]) -> float:
    """A round number that nearly all of a difference stays within, either way.

    >>> symmetric_limit(np.array([[-3.0, 0.5], [4.0, 2.0]], np.float32))
    5.0
    """
    largest = float(np.percentile(np.abs(difference), _SHOWN_PERCENT))
    return float(next((step for step in _STEPS if step >= largest), _STEPS[-1]))
