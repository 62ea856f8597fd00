"""One fine-tuning in a thread: paused, stopped, resumed, and kept out of the window's way."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qtpy.QtCore import QObject

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import CancelledError, TrainingError
from napari_cwtnet.metrics import psnr
from napari_cwtnet.plugin.tasks.device import ARBITER, limit_threads
from napari_cwtnet.plugin.tasks.finetune_history import History
from napari_cwtnet.plugin.tasks.model_list import MODELS
from napari_cwtnet.plugin.tasks.runner import Ending, Run, Task, TaskRunner, fault_words
from napari_cwtnet.training.events import Done, Event, Measuring, Preview, StepDone, Validation
from napari_cwtnet.training.finetune import install, refuse_taken_name, with_identities
from napari_cwtnet.training.recipe import Recipe, load_recipe
from napari_cwtnet.training.run_folder import RunLog, holds_a_run
from napari_cwtnet.training.trainer import Trainer

# Garbage collection out of the window's way while a thread is at work.
#
# A full pass looks at every object that there is, and stops all threads meanwhile: a tenth of a
# second and more once napari and torch are loaded. Making an optimiser imports hundreds of modules,
# which calls for two such passes.

_lock = threading.Lock()
_at_work = 0


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Collect nothing within the block; for a few seconds in which modules are imported."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextlib.contextmanager
def short_collections() -> Iterator[None]:
    """Within the block, passes leave alone what was there before it, so that they are short."""
    global _at_work  # noqa: PLW0603 - the collector is the process's
    with _lock:
        _at_work += 1
        gc.freeze()
    try:
        yield
    finally:
        with _lock:
            _at_work -= 1
            if _at_work == 0:
                gc.unfreeze()


Phase = Literal["loading", "training", "measuring"]
Kind = Literal["done", "stopped", "closed", "failed"]
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class FinetuneJob:
    """What to learn, and where to keep it."""

    output: Path
    recipe: Recipe | None = None
    """A planned one; None takes up the run in the folder."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a fine-tuning ended."""

    kind: Kind
    step: int
    installed: str | None = None
    """Name of the model that was added; None where nothing was better than the start model."""
    message: str = ""
    """Why it failed, one line."""


@dataclass(frozen=True, slots=True, eq=False)
class ValidationPreview:
    """A held-out field to look at, and its PSNR (dB) before and now."""

    preview: Preview
    before: float
    now: float


class FinetuneRun(Run):
    """A job at work.

    Attributes
    ----------
    recipe : Recipe or None
        None until it is known.
    history : History
        Losses and measurements, those of earlier sessions of the run too.
    latest_preview : ValidationPreview or None
        The latest preview.
    phase : {"loading", "training", "measuring"}
        What it is at.
    measured : tuple of int
        Fields measured, and how many there are, in the current measurement.
    share, seconds : float
        Budget used, 0..1, and time spent at work.
    seconds_left : float or None
        Work left; None while it is not known.
    outcome : Outcome or None
        Set last of all, and once.
    """

    name, kind, priority = "finetune", "Fine-tuning", False
    no_memory = (
        "The device ran out of memory; choose a smaller batch or patch in a recipe, or another "
        "device."
    )

    def __init__(self, job: FinetuneJob) -> None:
        super().__init__()
        self.job = job
        self.recipe = job.recipe
        self.history = History()
        self.latest_preview: ValidationPreview | None = None
        self.phase: Phase = "loading"
        self.measured = (0, 0)
        self.step = 0
        self.share = self.seconds = 0.0
        self.seconds_left: float | None = None
        self.remarks: tuple[str, ...] = ()
        self._paused = threading.Event()
        self._stop = CancelToken()
        self._trainer: Trainer | None = None

    def pause(self) -> None:
        """Begin no further step until :meth:`go_on`."""
        self._paused.set()

    def go_on(self) -> None:
        """End a pause."""
        self._paused.clear()

    def stop(self) -> None:
        """End after the current step, measure what it has learnt, and keep the best."""
        self._stop.cancel("stopped")

    def cancel(self, reason: str = "the dock was closed") -> None:
        """End after the current step and save the run, to be resumed; measure nothing."""
        super().cancel(reason)
        self._stop.cancel(reason)

    @property
    def paused(self) -> bool:
        """Whether it rests because of :meth:`pause`."""
        return self._paused.is_set() and not self.stopping

    @property
    def stopping(self) -> bool:
        """Whether :meth:`stop` or :meth:`cancel` was called."""
        return self._stop.cancelled

    @property
    def waiting(self) -> bool:
        """Whether it lets what somebody waits for go first."""
        return ARBITER.taken and self.phase != "loading"

    def work(self) -> Kind:
        """Train until the budget is used, or somebody ends it."""
        try:
            return self._train()
        except CancelledError:
            return "closed" if self.cancelled else "stopped"

    def conclude(self, ending: Ending) -> Outcome:
        """Add the best model to the user's; the outcome, with what became of it."""
        kind: Kind = "failed" if ending.kind == "failed" else ending.value
        message, installed = ending.message, None
        try:
            installed = self._install()
        except Exception as error:  # noqa: BLE001 - the window must not wait for ever
            words = fault_words(error, self.kind, self.no_memory)
            kind, message = "failed", message or f"{words} {self._where_it_is()}".strip()
        self._trainer = None  # megabytes of pixels
        return Outcome(kind, self.step, installed, message)

    def _train(self) -> Kind:
        limit_threads(leave=1)
        with contextlib.ExitStack() as collector:
            with no_collection():
                trainer = self._trainer = self._prepared()
                collector.enter_context(short_collections())  # before any pass over what is new
            return self._learn(trainer)

    def _learn(self, trainer: Trainer) -> Kind:
        self.recipe, self.remarks = trainer.recipe, trainer.data.remarks
        self.step = trainer.state.step
        self._note_progress(trainer)
        self.history.take_up(RunLog(trainer.output / "log.csv").rows())
        self.phase = "measuring" if self.history.start is None else "training"
        with contextlib.closing(trainer.run(self._stop)) as events:
            while self._may_go_on():
                event = next(events, None)
                if event is None or isinstance(event, Done):
                    return "stopped" if event is not None and event.stopped else "done"
                self._note(event, trainer)
            trainer.save()  # before the folder is let go of
        return "closed"

    def _prepared(self) -> Trainer:
        job = self.job
        if job.recipe is None:
            recipe = load_recipe(job.output / "recipe.yaml")
            if recipe.start is None:
                raise TrainingError(
                    f"The run in {job.output} starts from no model; go on with it by train."
                )
        else:
            if holds_a_run(job.output):
                raise TrainingError(
                    f"Folder {job.output} holds a run; resume it, or choose another output folder."
                )
            refuse_taken_name(job.recipe.name)
            recipe = with_identities(job.recipe)
        return Trainer(recipe, Path(), job.output, self._token)

    def _may_go_on(self) -> bool:
        """Wait out a pause, and those who come first; false where all is to end at once."""
        while not self.cancelled:
            if self.paused:
                time.sleep(_LOOK_S)
            elif ARBITER.wait(_LOOK_S):
                return True
        return False

    def _note(self, event: Event, trainer: Trainer) -> None:
        if isinstance(event, StepDone):
            self.history.add_loss(event.step, event.loss)
            self.step, self.phase = event.step, "training"
            self.measured = (0, 0)
        elif isinstance(event, Measuring):
            self.measured, self.phase = (event.done, event.total), "measuring"
        elif isinstance(event, Validation):
            self.history.add(event)
        elif isinstance(event, Preview):
            scale = trainer.recipe.scale
            figures = (psnr(image, event.truth, scale) for image in (event.before, event.now))
            self.latest_preview = ValidationPreview(event, *figures)
        self._note_progress(trainer)

    def _note_progress(self, trainer: Trainer) -> None:
        self.share, self.seconds = trainer.done_share, trainer.state.seconds
        self.seconds_left = trainer.seconds_left

    def _install(self) -> str | None:
        """Add the best model to the user's, if it is better than the one that it started from."""
        trainer = self._trainer
        if trainer is None or not trainer.improved:
            return None
        name = install(trainer.weights, trainer.recipe.name).stem
        MODELS.load()
        return name

    def _where_it_is(self) -> str:
        trainer = self._trainer
        there = trainer is not None and trainer.weights.exists()
        return f"The best model is {trainer.weights}." if trainer is not None and there else ""


REFRESH_MS = 250


class Finetuner(TaskRunner):
    """Runs one job at a time, and looks at it four times a second.

    When the window goes, the run ends after its current step and saves its state.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent, REFRESH_MS)
        self._last: FinetuneRun | None = None

    @property
    def run(self) -> FinetuneRun | None:
        """The run at work, or the last one."""
        return self._last

    def start(self, job: FinetuneJob) -> FinetuneRun:
        """Begin a job.

        Raises
        ------
        TrainingError
            If one is at work.
        """
        if self.busy:
            raise TrainingError("A fine-tuning is running in this dock; stop it first, or wait.")
        run = self._last = FinetuneRun(job)
        self.submit(Task("", lambda: run, end=_announce))
        return run


def _announce(run: FinetuneRun, _: bool) -> None:
    if run.outcome.installed is not None:
        MODELS.changed.emit()
