"""``2000`` is steps, ``3m`` is minutes."""

from __future__ import annotations

import math

from napari_cwtnet.errors import RequestError
from napari_cwtnet.evaluation.reproduce.experiment import Budget


def read_budget(text: str) -> Budget:
    """A budget as it is typed.

    >>> read_budget("2000"), read_budget("1.5m")
    (Budget(steps=2000, minutes=None), Budget(steps=None, minutes=1.5))

    Raises
    ------
    RequestError
        If it is neither a number of steps nor of minutes.
    """
    try:
        if text.endswith("m"):
            minutes = float(text[:-1])
            if math.isfinite(minutes) and minutes > 0:
                return Budget(minutes=minutes)
        elif int(text) > 0:
            return Budget(steps=int(text))
    except ValueError:
        pass
    raise RequestError(
        f"Budget {text!r} is neither steps (2000) nor minutes (3m); give one of the two, above 0."
    )
