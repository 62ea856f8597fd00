"""Events of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class StepDone:
    """One optimiser step."""

    step: int
    loss: float
    learning_rate: float
    seconds: float
    """Working time since the run began, without pauses."""


@dataclass(frozen=True, slots=True)
class Measuring:
    """One held-out field was measured; a point to pause during a validation."""

    step: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Validation:
    """Mean PSNR (dB) over the held-out fields, also with references if the recipe trains with them.

    Step 0 of a fine-tuning measures the start model.
    """

    step: int
    psnr: float
    psnr_bicubic: float
    psnr_with_reference: float | None
    psnr_reference_bicubic: float | None
    best: bool


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """One held-out field, always the same, in single-image mode: ``(h, w, 3)`` uint8 RGB."""

    step: int
    lr: NDArray[np.uint8]
    before: NDArray[np.uint8]
    """By the start model, or by bicubic enlargement if the run starts from scratch."""
    now: NDArray[np.uint8]
    truth: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CheckpointWritten:
    """The run can be resumed from here."""

    step: int
    path: Path


@dataclass(frozen=True, slots=True)
class Done:
    """The run is over; ``weights`` holds the best model."""

    step: int
    weights: Path
    best_psnr: float
    stopped: bool


Event = StepDone | Measuring | Validation | Preview | CheckpointWritten | Done
