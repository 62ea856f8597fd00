"""Whether the network says the same whichever way up it sees the tissue."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Engine
from napari_cwtnet.inspection.field import Field, Part, check_model

TURNS = tuple((quarters, flip) for flip in (False, True) for quarters in range(4))
"""The eight flips and turns of a square."""

Floats = NDArray[np.float32]


def spread(
    field: Field,
    engine: Engine,
    *,
    cancel: CancelToken | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Floats:
    """Standard deviation of SR over the eight flips and turns of the input.

    Tissue has no upside: where the network changes its mind when it is turned, it guesses.

    Returns
    -------
    ndarray
        ``(s·h, s·w)`` float32, grey levels: root of the variance's mean over RGB.

    Raises
    ------
    RequestError
        If the engine has other weights than those that captured the field.
    CancelledError
        Between two passes, after ``cancel`` was called.
    """
    check_model(field, engine)
    cancel = cancel or CancelToken()
    found = np.zeros(field.sr.shape[:2], np.float32)
    total = len(field.parts) * len(TURNS)
    for number, part in enumerate(field.parts):
        answers = []
        for done, (quarters, flip) in enumerate(TURNS, start=1):
            cancel.raise_if_cancelled()
            answers.append(_answer(engine, part, quarters, flip))
            if progress is not None:
                progress(number * len(TURNS) + done, total)
        variance = np.var(np.stack(answers), axis=0, dtype=np.float64).mean(-1)
        part.place.copy(np.sqrt(variance).astype(np.float32), found, field.plan.scale)
    return found


def _answer(engine: Engine, part: Part, quarters: int, flip: bool) -> Floats:
    """SR of a tile seen turned, turned back; ``(s·h, s·w, 3)`` in grey levels."""
    lr = _turned(part.lr, quarters, flip)
    reference = None if part.reference is None else _turned(part.reference, quarters, flip)
    answer = engine.infer(lr, reference, part.known).sr[0]
    sr = answer.clamp(0, 1).mul(255).permute(1, 2, 0).cpu().numpy()
    back = np.flip(sr, 1) if flip else sr
    return np.asarray(np.rot90(back, -quarters))


def _turned(image: NDArray[np.uint8], quarters: int, flip: bool) -> NDArray[np.uint8]:
    turned = np.rot90(image, quarters)
    return np.ascontiguousarray(np.flip(turned, 1) if flip else turned)
