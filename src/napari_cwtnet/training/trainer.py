"""The training loop, as a generator: its caller sets the pace and decides when to stop."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_cwtnet import __version__
from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import choose_device
from napari_cwtnet.errors import TrainingError
from napari_cwtnet.files import sweep, written_whole
from napari_cwtnet.model import Model, Network, load_model, save_weights
from napari_cwtnet.training.data import TrainingData, load_data
from napari_cwtnet.training.events import (
    CheckpointWritten,
    Done,
    Event,
    Measuring,
    StepDone,
    Validation,
)
from napari_cwtnet.training.fields import Batch, PatchSampler
from napari_cwtnet.training.losses import total_loss
from napari_cwtnet.training.recipe import Recipe
from napari_cwtnet.training.run_folder import RunLock, RunLog, cannot_write
from napari_cwtnet.training.slide_fields import VALIDATION_SIDE
from napari_cwtnet.training.state import RunState, placed
from napari_cwtnet.training.validation import Measured, Validator, centre_crops, forward
from napari_cwtnet.training.workers import Workers, refuse_wrong_gradients, worker_device


def load_start(recipe: Recipe) -> Model | None:
    """The start model of a recipe.

    Raises
    ------
    TrainingError
        If its file or network differs from the recipe's, or there is none and the recipe wants an
        error head, which would stay untrained.
    ModelError
        If it cannot be read.
    """
    if recipe.start is None:
        if getattr(recipe.network_config(), "error_channels", 0):
            raise TrainingError(
                "network.error_channels: the head that predicts the error is trained after the "
                "network, by tools/train_error_head.py; leave it out of the recipe."
            )
        return None
    model = load_model(recipe.start.name)
    if recipe.start.sha256 not in (None, model.sha256):
        raise TrainingError(
            f"Model {model.name!r} has sha256 {model.sha256}, the recipe wants "
            f"{recipe.start.sha256}; give the model that the run started from."
        )
    if model.config != recipe.network_config():
        raise TrainingError(
            f"Model {model.name!r} differs from the recipe's network; leave preset and network "
            "out of the recipe and run finetune, which takes the model's, or choose another start "
            "model."
        )
    return model


def provenance(
    recipe: Recipe, state: RunState, start: Model | None, data: TrainingData
) -> dict[str, Any]:
    """Provenance of the best weights; names slides by fingerprint, never by path."""
    known: dict[str, Any] = {}
    if start is not None:
        known["parent"] = {"name": start.name, "sha256": start.sha256}
    return known | {
        "recipe": _publishable(recipe, data.fingerprints).model_dump(mode="json"),
        "reference_share": recipe.reference_share,
        "step": state.step,
        "seconds": round(state.seconds, 1),
        "validation_psnr": round(state.best_psnr, 4),
        "software": f"napari-cwtnet {__version__}, torch {torch.__version__}",
        "machine": platform.processor() or platform.machine(),
    }


def _publishable(recipe: Recipe, fingerprints: tuple[str, ...]) -> Recipe:
    """The recipe without paths, its slides named by fingerprint."""
    published = recipe.without_paths()
    slides = tuple(
        slide.model_copy(update={"fingerprint": fingerprint})
        for slide, fingerprint in zip(published.slides, fingerprints, strict=True)
    )
    return published.model_copy(update={"slides": slides})


class Trainer:
    """One run of one recipe in one folder.

    Parameters
    ----------
    recipe : Recipe
        The recipe. With ``start``, the run continues from that model, the best so far.
    data_root : Path
        Folder that the recipe's folders and slides are relative to.
    output : Path
        Holds ``last.safetensors`` (the run's state), ``NAME.safetensors`` (the best model),
        ``recipe.yaml`` and ``log.csv``. The trainer resumes a run found there, and locks the
        folder until :meth:`run` ends or the trainer is deleted.
    cancel : CancelToken, optional
        Interrupts the reading of slides.

    Raises
    ------
    TrainingError
        If the recipe, its data or the run in the folder cannot be used, or another run works there.
    ModelError
        If the start model cannot be read.
    OutputError
        If the folder cannot be written to.
    CancelledError
        Between two fields of a slide, after ``cancel`` was called.
    """

    def __init__(
        self, recipe: Recipe, data_root: Path, output: Path, cancel: CancelToken | None = None
    ) -> None:
        self.recipe = recipe
        self.output = output
        self.start = load_start(recipe)
        device = choose_device(worker_device(recipe.device))
        refuse_wrong_gradients(recipe, device)
        if self.start is not None:
            placed(self.start.network, device)
        self._workers = Workers(device)
        self._workers.check_batch(recipe.batch)
        self._lock = RunLock(output)
        if self.leads:
            self._lock.look_ahead()
        self.data = load_data(recipe, data_root, cancel)
        self.sampler = self._sampler(recipe.patch)
        self.held_out = centre_crops(self.data.held_out, recipe.scale, VALIDATION_SIDE)
        self._validator = Validator(self.held_out, recipe, self.start)
        if self.leads:
            self._lock.acquire()
        self.state = (
            RunState.load(self._last, recipe, device)
            if self._last.exists()
            else RunState(recipe, None if self.start is None else self.start.network, device)
        )
        self._device = device
        self._losses: list[float] = []
        self._late = self._sampler(recipe.late_patch or recipe.patch)
        self._log = RunLog(output / "log.csv")
        if self.leads:
            self._prepare_output()
        self._workers.wait()

    def _sampler(self, patch: int) -> PatchSampler:
        recipe = self.recipe
        return PatchSampler(self.data.training, recipe.scale, patch, recipe.degradation)

    def _prepare_output(self) -> None:
        try:
            sweep(self.output)
            with written_whole(self.output / "recipe.yaml") as partial:
                partial.write_text(self.recipe.to_yaml(), encoding="utf-8")
            self._log.drop_after(self.state.measured)
        except OSError as error:
            raise cannot_write(self.output, error) from error

    @property
    def leads(self) -> bool:
        """Whether this process reports; true in one of the processes that torchrun starts."""
        return self._workers.leads

    @property
    def _last(self) -> Path:
        return self.output / "last.safetensors"

    @property
    def weights(self) -> Path:
        """The file of the best model so far."""
        return self.output / f"{self.recipe.name}.safetensors"

    def best_network(self) -> Network:
        """The best model so far, read from its file and placed on the run's device.

        Raises
        ------
        ModelError
            If the file cannot be read.
        """
        return placed(load_model(self.weights).network, self._device)

    @property
    def done_share(self) -> float:
        """Used share of the budget, 0..1."""
        share = self.state.step / self.recipe.steps
        if self.recipe.minutes is not None:
            share = max(share, self.state.seconds / (60 * self.recipe.minutes))
        return min(1.0, share)

    @property
    def seconds_left(self) -> float | None:
        """Working time left in the budget; None before the first step."""
        share = self.done_share
        return self.state.seconds / share * (1 - share) if share > 0 else None

    @property
    def improved(self) -> bool:
        """Whether the best model is better than the start model."""
        start = self.state.start_psnr
        if start is None:
            return math.isfinite(self.state.best_psnr)
        alone, paired = start
        return self.state.best_psnr > (alone if paired is None else (alone + paired) / 2)

    def run(self, cancel: CancelToken | None = None) -> Generator[Event, None, None]:
        """Train to the end of the budget, or until ``cancel``, and leave the best model on disk.

        Nothing runs between two events: to pause, do not ask for the next one.

        Raises
        ------
        TrainingError
            If the loss, its gradient or the model's output is no longer finite; the last
            checkpoint is kept.
        OutputError
            If the folder cannot be written to.
        """
        try:
            if self.leads:
                self._lock.acquire()
            yield from self._run(cancel or CancelToken())
        finally:
            self._log.close()
            self._lock.release()

    def save(self) -> None:
        """Write the state between two events, without measuring, to resume from.

        Takes a fraction of a second, unlike the measurement that ends a cancelled run. The best
        model is on disk already.

        Raises
        ------
        OutputError
            If the folder cannot be written to.
        """
        self.state.save(self._last)

    def _run(self, cancel: CancelToken) -> Iterator[Event]:
        state = self.state
        if self._check_is_due():
            yield from self._check()
        while not self._is_over(cancel):
            yield self._step()
            if self._check_is_due():
                yield from self._check()
        if state.measured != state.step:
            yield from self._check()
        self._workers.wait()  # no process may leave the group before the leader
        yield Done(state.step, self.weights, state.best_psnr, cancel.cancelled)

    def _check_is_due(self) -> bool:
        """At intervals, at the end, and with a start model also before the first step."""
        state, recipe = self.state, self.recipe
        due = state.step % recipe.validate_every == 0 or state.step == recipe.steps
        return due and state.measured != state.step and (state.step > 0 or self.start is not None)

    def _is_over(self, cancel: CancelToken) -> bool:
        state, minutes = self.state, self.recipe.minutes
        over = cancel.cancelled or state.step >= self.recipe.steps
        if minutes is not None:
            over = over or state.seconds + state.validation_seconds >= 60 * minutes
        return bool(self._workers.as_leader_says(over))

    def _step(self) -> StepDone:
        state, recipe = self.state, self.recipe
        began = time.perf_counter()
        rate = state.learning_rate()
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        if recipe.late_patch is not None and self.done_share >= 1 - recipe.late_share:
            batch = self._late.batch(recipe.batch, state.generator)
        else:
            batch = self.sampler.batch(recipe.batch, state.generator)
        with_reference = bool(state.generator.random() < recipe.reference_share)
        part = self._workers.part_of(batch).to(self._device)
        loss, sr = self._loss(part, with_reference)
        value = self._workers.mean(loss.detach())
        if not math.isfinite(value):
            raise self._diverged("loss", value)
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._workers.mean_gradients(state.network.parameters())
        norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), recipe.gradient_clip)
        if not math.isfinite(float(norm)):
            raise self._diverged("gradient norm", float(norm))
        state.optimiser.step()
        self._teach_adversary(sr.detach(), part.truth)
        state.step += 1
        state.update_average()
        self._losses.append(value)
        state.seconds = self._workers.as_leader_says(state.seconds + time.perf_counter() - began)
        return StepDone(state.step, value, rate, state.seconds)

    def _diverged(self, what: str, value: float) -> TrainingError:
        return TrainingError(
            f"The {what} is {value} at step {self.state.step}; the last checkpoint is kept. "
            "Lower learning_rate in the recipe and start again in another output folder."
        )

    def _teach_adversary(self, sr: Tensor, truth: Tensor) -> None:
        adversary = self.state.adversary
        if adversary is not None and adversary.begins(self.state.step):
            value = adversary.learn(sr, truth, self._workers)
            if not math.isfinite(value):
                raise self._diverged("discriminator's loss", value)

    def _loss(self, batch: Batch, with_reference: bool) -> tuple[Tensor, Tensor]:
        """The loss, a scalar, and SR."""
        network = self.state.network
        in_bfloat16 = self.recipe.dtype == "bfloat16"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=in_bfloat16):
            output = forward(network, batch, with_reference=with_reference)
        loss, sr = total_loss(network, output, batch, self.recipe.loss), output.sr.float()
        adversary = self.state.adversary
        if adversary is not None and adversary.begins(self.state.step):
            loss = loss + adversary.loss_of(sr, batch.truth)
        return loss, sr

    def _check(self) -> Iterator[Event]:
        """Measure, keep the best model and save the state, then yield the events."""
        if not self.leads:
            return
        state = self.state
        measuring = self._validator.measure(state.average)
        try:
            while True:
                done, total = next(measuring)
                yield Measuring(state.step, done, total)
        except StopIteration as ended:
            measured: Measured = ended.value
        except FloatingPointError as error:
            raise self._diverged("model's output", math.nan) from error
        state.seconds += measured.seconds
        state.validation_seconds = measured.seconds
        state.measured = state.step
        validation = self._judge(measured.alone, measured.paired)
        loss = float(np.mean(self._losses)) if self._losses else None
        self._losses.clear()
        self._log.add(validation, state.seconds, loss)
        self.save()
        yield validation
        yield self._validator.preview(state.step, measured.shown)
        yield CheckpointWritten(state.step, self._last)

    def _judge(self, alone: float, paired: float | None) -> Validation:
        """Keep the weights if they are the best so far and, in each mode, not below the start.

        Adversarial training trades PSNR for sharpness, so there the last weights count as best.
        """
        state = self.state
        if self.start is not None and state.start_psnr is None:
            state.start_psnr = (alone, paired)
        score = alone if paired is None else (alone + paired) / 2
        best = score > state.best_psnr
        if state.start_psnr is not None:
            least, least_paired = state.start_psnr
            best = best and alone >= least
            best = best and (paired is None or least_paired is None or paired >= least_paired)
        best = best or self.recipe.adversarial is not None
        if best:
            state.best_psnr, state.best_by_mode = score, (alone, paired)
            known = provenance(recipe=self.recipe, state=state, start=self.start, data=self.data)
            save_weights(self.weights, state.average, known)
        bicubic, enlarged_reference = self._validator.bicubic()
        return Validation(state.step, alone, bicubic, paired, enlarged_reference, best)
