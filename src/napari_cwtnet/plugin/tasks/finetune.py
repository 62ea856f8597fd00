"""One fine-tuning in a thread of its own; the window looks at it when it likes.

Nothing here knows of Qt: the thread writes, the window's timer reads, and no signal crosses over.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import CancelledError, TrainingError
from napari_cwtnet.metrics import psnr
from napari_cwtnet.plugin.tasks.device import TURNS, leave_a_core_to_the_window
from napari_cwtnet.plugin.tasks.finetune_history import History
from napari_cwtnet.plugin.tasks.models import MODELS
from napari_cwtnet.plugin.tasks.runner import fault_words
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
    """What is to be learnt, and where it is kept."""

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
class Sight:
    """A held-out field to look at, and its PSNR (dB) before and now."""

    preview: Preview
    before: float
    now: float


class FinetuneRun:
    """A job at work.

    Attributes
    ----------
    recipe : Recipe or None
        None until it is known.
    history : History
        Losses and measurements, those of earlier sessions of the run too.
    sight : Sight or None
        The latest preview.
    phase : {"loading", "training", "measuring"}
        What it is at.
    measured : tuple of int
        Fields measured, and how many there are, in the measurement at hand.
    share, seconds : float
        Budget used, 0..1, and time spent at work.
    seconds_left : float or None
        Work left; None while nothing can be said.
    outcome : Outcome or None
        Set last of all, and once.
    """

    def __init__(self, job: FinetuneJob) -> None:
        self.job = job
        self.recipe = job.recipe
        self.history = History()
        self.sight: Sight | None = None
        self.phase: Phase = "loading"
        self.measured = (0, 0)
        self.step = 0
        self.share = self.seconds = 0.0
        self.seconds_left: float | None = None
        self.remarks: tuple[str, ...] = ()
        self.outcome: Outcome | None = None
        self._paused = threading.Event()
        self._stop = CancelToken()
        self._abandon = CancelToken()
        self._trainer: Trainer | None = None
        self._thread = threading.Thread(target=self._work, name="napari-cwtnet finetune")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def pause(self) -> None:
        """Begin no further step until :meth:`go_on`."""
        self._paused.set()

    def go_on(self) -> None:
        """End a pause."""
        self._paused.clear()

    def stop(self) -> None:
        """End after the step at hand, measure what it has learnt, and keep the best."""
        self._stop.cancel("stopped")

    def abandon(self, reason: str = "the dock was closed") -> None:
        """End after the step at hand and save the run, to be taken up again; measure nothing."""
        self._abandon.cancel(reason)
        self._stop.cancel(reason)

    @property
    def paused(self) -> bool:
        """Whether it rests because of :meth:`pause`."""
        return self._paused.is_set() and not self.stopping

    @property
    def stopping(self) -> bool:
        """Whether :meth:`stop` or :meth:`abandon` was called."""
        return self._stop.cancelled

    @property
    def waiting(self) -> bool:
        """Whether it lets what somebody waits for go first."""
        return TURNS.taken and self.phase != "loading"

    def join(self, seconds: float | None = None) -> None:
        """Wait for the thread; at once where ``outcome`` is set."""
        self._thread.join(seconds)

    def _work(self) -> None:
        kind: Kind = "done"
        message, installed = "", None
        try:
            kind = self._train()
        except CancelledError:
            kind = "closed" if self._abandon.cancelled else "stopped"
        except Exception as error:  # noqa: BLE001 - the window must not wait for ever
            kind, message = "failed", _in_words(error)
        try:
            installed = self._install()
        except Exception as error:  # noqa: BLE001
            kind, message = "failed", message or f"{_in_words(error)} {self._where_it_is()}".strip()
        self._trainer = None  # megabytes of pixels
        self.outcome = Outcome(kind, self.step, installed, message)

    def _train(self) -> Kind:
        leave_a_core_to_the_window()
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
        return Trainer(recipe, Path(), job.output, self._abandon)

    def _may_go_on(self) -> bool:
        """Wait out a pause, and those who come first; false where all is to end at once."""
        while not self._abandon.cancelled:
            if self.paused:
                time.sleep(_LOOK_S)
            elif TURNS.wait(_LOOK_S):
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
            self.sight = Sight(event, *figures)
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


def _in_words(error: Exception) -> str:
    return fault_words(
        error,
        "Fine-tuning",
        "The device ran out of memory; choose a smaller batch or patch in a recipe, or "
        "another device.",
    )


def runs_at_work() -> Iterator[threading.Thread]:
    """Threads of fine-tunings that have not ended."""
    return (thread for thread in threading.enumerate() if thread.name == "napari-cwtnet finetune")


REFRESH_MS = 250


class Finetuner(QObject):
    """Runs a job in a thread, and looks at it four times a second.

    Lives on the GUI thread and waits for nothing. When it goes, or the application ends, the run
    ends after the step at hand and saves its state.

    Attributes
    ----------
    changed : Signal
        There is something new to show about the run.
    finished : Signal(Outcome)
        The run has ended.
    """

    changed = Signal()
    finished = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.run: FinetuneRun | None = None
        """The run at work, or the last one."""
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self._look)
        self._at_work: list[FinetuneRun] = []
        self._gone = threading.Event()
        stop = functools.partial(_abandon, self._at_work, self._gone)
        self.destroyed.connect(stop)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(stop)

    @property
    def busy(self) -> bool:
        """Whether a run is at work."""
        return bool(self._at_work)

    def start(self, job: FinetuneJob) -> FinetuneRun:
        """Begin a job.

        Raises
        ------
        TrainingError
            If one is at work.
        """
        if self.busy:
            raise TrainingError("A fine-tuning is at work in this dock; stop it first, or wait.")
        run = self.run = FinetuneRun(job)
        self._at_work[:] = [run]
        run.start()
        self._timer.start()
        self.changed.emit()
        return run

    def pause(self) -> None:
        """Let the run rest after the step at hand."""
        self._tell(FinetuneRun.pause)

    def go_on(self) -> None:
        """End the rest."""
        self._tell(FinetuneRun.go_on)

    def stop(self) -> None:
        """End the run after the step at hand; the best model is kept."""
        self._tell(FinetuneRun.stop)

    def abandon(self) -> None:
        """End the run at once and save it, to be taken up again."""
        self._tell(FinetuneRun.abandon)

    def _tell(self, what: Any) -> None:
        if self.busy and self.run is not None:
            what(self.run)
            self.changed.emit()

    def _look(self) -> None:
        run = self.run
        if run is None or self._gone.is_set():
            self._timer.stop()
            return
        outcome: Outcome | None = run.outcome
        if outcome is not None:
            run.join()
            self._at_work.clear()
            self._timer.stop()
            if outcome.installed is not None:
                MODELS.changed.emit()
        self.changed.emit()
        if outcome is not None:
            self.finished.emit(outcome)


def _abandon(runs: list[FinetuneRun], gone: threading.Event, *_: Any) -> None:
    gone.set()
    for run in runs:
        run.abandon("the window was closed")
    runs.clear()  # nobody looks at them any more, but the application may know of this list
