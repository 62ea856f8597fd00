"""What a training run tells while it goes on."""

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
    """Time spent at work since the run began, breaks left out."""


@dataclass(frozen=True, slots=True)
class Measuring:
    """One held-out field was measured; a place to pause at during a validation."""

    step: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Validation:
    """Mean PSNR (dB) over the held-out fields; with a reference where the recipe trains with it.

    Step 0 of a fine-tuning measures the model that it starts from.
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
    """By the start model; by bicubic enlargement where the run starts from scratch."""
    now: NDArray[np.uint8]
    truth: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CheckpointWritten:
    """The run can be taken up from here."""

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
