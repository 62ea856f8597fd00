"""How sure a mean over test images is: images are drawn anew, with all that belongs to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_ROUNDS = 2000
_FEWEST = 3


def interval(
    values: Sequence[float], groups: Sequence[object], *, share: float = 0.95, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile interval of the mean of ``values``, by a cluster bootstrap over ``groups``.

    Parameters
    ----------
    values : sequence of float
        One for each field or patch.
    groups : sequence
        The image that each is of; fields of one image are no independent evidence.
    share : float
        Of the resampled means that lie within.
    seed : int
        Of the drawing.

    Returns
    -------
    tuple of float, or None
        Low and high; None for fewer than three images, which say too little of others.
    """
    if len(set(groups)) < _FEWEST:
        return None
    names = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    index = np.asarray([names[group] for group in groups])
    sums = np.bincount(index, weights=np.asarray(values, np.float64))
    counts = np.bincount(index)
    drawn = np.random.default_rng(seed).integers(len(names), size=(_ROUNDS, len(names)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)
