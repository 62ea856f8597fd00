"""Runs: train one network by the package's own trainer in its own folder, and report progress."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from napari_cwtnet import __version__
from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import choose_device
from napari_cwtnet.errors import CancelledError, TrainingError
from napari_cwtnet.evaluation.bench import machine
from napari_cwtnet.evaluation.reproduce.data import fingerprint, sources_of
from napari_cwtnet.evaluation.reproduce.experiment import Budget, Degradation, Row, Run, Table
from napari_cwtnet.files import written_whole
from napari_cwtnet.model.weights import save_weights
from napari_cwtnet.training.events import StepDone
from napari_cwtnet.training.recipe import make_recipe
from napari_cwtnet.training.trainer import Trainer

_SHORT, _LONG = 90.0, 5400.0


@dataclass(frozen=True, slots=True)
class Place:
    """One cell of a table: a row at a scale with a seed."""

    row: Row
    scale: int
    seed: int

    def __str__(self) -> str:
        """For messages; a row without training has no seed."""
        seed = "" if self.row.changes is None else f", seed {self.seed}"
        return f"{self.row.name} ×{self.scale}{seed}"


@dataclass(frozen=True, slots=True)
class Training:
    """The training of a place; several places may share one."""

    folder: str
    seconds: float | None
    """Duration; None until finished."""


class TableProgress:
    """Progress messages with table, row and time left.

    Parameters
    ----------
    table : str
        Its number, as in the paper.
    places : sequence of Place
        All places in the order of work.
    training_of : callable
        The `Training` of a place; None if it needs none.
    say : callable
        Receives the messages.
    expected : float, optional
        Seconds of one training, if the budget sets them.
    """

    def __init__(
        self,
        table: str,
        places: Sequence[Place],
        training_of: Callable[[Place], Training | None],
        say: Callable[[str], None],
        expected: float | None = None,
    ) -> None:
        self.table, self._places = table, places
        self._training_of, self._say, self._expected = training_of, say, expected
        self._number = 0

    @property
    def place(self) -> Place:
        """The current place."""
        return self._places[self._number]

    def begin(self, number: int) -> None:
        """Begin a place, counted from 0; the place before it is done."""
        self._number = number

    def __call__(self, words: str, own_left: float | None = None) -> None:
        """Report ``words`` for the current place; its training needs ``own_left`` more seconds."""
        seconds = self._seconds_left(own_left)
        left = "" if seconds is None else f"; about {time_left(seconds)} of training left in all"
        number = f"run {self._number + 1} of {len(self._places)}"
        self._say(f"{self.table}, {number}: {self.place}: {words}{left}")

    def _seconds_left(self, own_left: float | None) -> float | None:
        """None until one training has finished, and when none is left."""
        took: dict[tuple[str, int], float] = {}
        undone: dict[str, Place] = {}
        for number, place in enumerate(self._places):
            training = self._training_of(place)
            if training is not None and training.seconds is not None:
                took[place.row.name, place.scale] = training.seconds
            elif training is not None and number >= self._number:
                undone.setdefault(training.folder, place)
        mean = statistics.mean(took.values()) if took else self._expected
        if mean is None:
            return None
        return (
            sum(
                own_left
                if place is self.place and own_left is not None
                else took.get((place.row.name, place.scale), mean)  # as with another seed
                for place in undone.values()
            )
            or None
        )


def time_left(seconds: float) -> str:
    """Seconds, rounded up, if below a minute and a half; else minutes or hours.

    >>> time_left(4.2), time_left(100), time_left(9000)
    ('5 s', '1.7 min', '2.5 h')
    """
    if seconds < _SHORT:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 3600:.1f} h" if seconds > _LONG else f"{seconds / 60:.1f} min"


PATCH = {2: 32, 4: 24, 8: 16}
"""LR pixels along a side of a training patch, by scale."""

WEIGHTS = "final.safetensors"
RECORD = "run.json"
_ENDLESS = 10_000_000
_CHECKPOINT_EVERY = 2000
_WARM_UP = 50
_SECONDS_BETWEEN_WORDS = 30.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Record of a finished training."""

    hash: str
    data: str
    budget: str
    steps: int
    seconds: float
    """Wall time at work."""
    cpu_seconds: float
    """CPU time of this process, extrapolated from the steps of the last session."""
    parameters: int
    machine: dict[str, Any]
    software: str


def plan_run(
    table: Table,
    row: Row,
    *,
    scale: int,
    seed: int,
    budget: Budget,
    data: Path,
    degradation: Degradation,
) -> Run:
    """The run of a row: its recipe and the fingerprint of its data.

    Raises
    ------
    TrainingError
        If the recipe cannot be made.
    RequestError
        If the data are missing.
    """
    steps = budget.steps or _ENDLESS
    changes = dict(row.changes or {})
    fields: dict[str, Any] = {
        "name": f"{changes.get('architecture', 'cwtnet')}-x{scale}-seed{seed}",
        "scale": scale,
        "patch": PATCH[scale],
        "steps": steps,
        "minutes": budget.minutes,
        "warm_up": min(_WARM_UP, max(1, steps // 10)),
        "validate_every": min(steps, _CHECKPOINT_EVERY),
        "seed": seed,
    }
    fields |= dict(table.base) | sources_of(data, degradation, scale) | changes
    recipe = make_recipe(fields, f"{table.title}, {row.name}")
    return Run(recipe, fingerprint(recipe, data))


def train(
    run: Run, data: Path, output: Path, budget: Budget, *, cancel: CancelToken, say: TableProgress
) -> RunRecord:
    """Train to the end of the budget, unless done already.

    Raises
    ------
    CancelledError
        If ``cancel`` was called; the next call resumes.
    TrainingError
        If the training fails.
    """
    folder = output / "runs" / run.folder
    done = read_record(folder, run)
    if done is not None:
        return done
    say(f"training, {budget.words}")
    trainer = Trainer(run.recipe, data, folder, cancel)
    cpu = steps = 0.0
    before, reported = time.process_time(), time.monotonic()
    for event in trainer.run(cancel):
        now = time.process_time()
        if isinstance(event, StepDone):
            cpu, steps = cpu + now - before, steps + 1
            if time.monotonic() - reported >= _SECONDS_BETWEEN_WORDS:
                reported = time.monotonic()
                say(_how_far(trainer, budget), trainer.seconds_left)
        before = now
    if cancel.cancelled:
        raise CancelledError("Interrupted; the same command resumes this run.")
    state = trainer.state
    record = RunRecord(
        hash=run.hash,
        data=run.data,
        budget=str(budget),
        steps=state.step,
        seconds=round(state.seconds, 1),
        cpu_seconds=round(cpu / max(steps, 1) * state.step, 1),
        parameters=sum(p.numel() for p in state.network.parameters()),
        machine=machine(choose_device(run.recipe.device)),
        software=f"napari-cwtnet {__version__}, torch {torch.__version__}",
    )
    provenance = {
        "recipe": run.recipe.without_paths().model_dump(mode="json"),
        "reference_share": run.recipe.reference_share,
        "step": state.step,
    }
    save_weights(folder / WEIGHTS, state.average, provenance)
    with written_whole(folder / RECORD) as partial:
        partial.write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
    return record


def _how_far(trainer: Trainer, budget: Budget) -> str:
    steps = f"step {trainer.state.step}" + (f" of {budget.steps}" if budget.steps else "")
    return f"{steps}, {time_left(trainer.seconds_left or 0.0)} left of this run"


def read_record(folder: Path, run: Run) -> RunRecord | None:
    """The record of a finished run; None if there is none.

    Raises
    ------
    TrainingError
        If the record is of another training, or cannot be read.
    """
    path = folder / RECORD
    if not path.exists() or not (folder / WEIGHTS).exists():
        return None
    try:
        record = TypeAdapter(RunRecord).validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"Record {path} cannot be read: {' '.join(str(error).split())[:200]}; delete the "
            "folder to train again."
        ) from error
    if record.hash != run.hash:
        raise TrainingError(f"Record {path} is of another training; delete the folder.")
    return record
