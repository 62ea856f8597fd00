"""How often a classifier is right, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.evaluation.reproduce.bootstrap import interval


@dataclass(frozen=True, slots=True)
class Scores:
    """Shares of 1."""

    accuracy: float
    low: float | None
    high: float | None
    """95 % of the accuracy, over source images; None where there is one."""
    balanced: float
    """Mean of the accuracies in both classes."""
    auc: float


def scores_of(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], sources: NDArray[np.str_]
) -> Scores:
    """Scores of the probabilities of class 1, both classes being there."""
    right = is_right(probabilities, labels)
    low, high = interval(right.tolist(), sources.tolist()) or (None, None)
    balanced = float(np.mean([right[labels == label].mean() for label in (0, 1)]))
    return Scores(float(right.mean()), low, high, balanced, area_under_curve(probabilities, labels))


def is_right(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """1 where the more probable class is the true one, else 0."""
    right: NDArray[np.float64] = ((probabilities > 0.5) == (labels == 1)).astype(np.float64)
    return right


def area_under_curve(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Chance that a patch of class 1 is given a higher probability than one of class 0.

    >>> area_under_curve(np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 0, 1, 1]))
    0.875
    """
    ones, zeros = probabilities[labels == 1], probabilities[labels == 0]
    higher = (ones[:, None] > zeros[None, :]).mean()
    equal = (ones[:, None] == zeros[None, :]).mean()
    return float(higher + 0.5 * equal)
