"""What a training run tells while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StepDone:
    """One optimiser step."""

    step: int
    loss: float
    learning_rate: float
    seconds: float
    """Time spent in steps since the run began, breaks left out."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Mean PSNR (dB) over the held-out fields; with a reference where the recipe trains with it."""

    step: int
    psnr: float
    psnr_bicubic: float
    psnr_with_reference: float | None
    psnr_reference_bicubic: float | None
    best: bool


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


Event = StepDone | Validation | CheckpointWritten | Done
