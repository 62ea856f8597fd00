"""The training loop, as a generator: whoever drives it decides how fast, and when to stop."""

from __future__ import annotations

import csv
import math
import platform
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from napari_cwtnet import __version__
from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import OutputError, TrainingError
from napari_cwtnet.model.weights import save_weights
from napari_cwtnet.training.data import load_data
from napari_cwtnet.training.events import CheckpointWritten, Done, Event, StepDone, Validation
from napari_cwtnet.training.fields import Batch, Field, PatchSampler, load_fields
from napari_cwtnet.training.losses import total_loss
from napari_cwtnet.training.recipe import Recipe
from napari_cwtnet.training.state import RunState
from napari_cwtnet.training.validation import centre_crops, mean_psnr, mean_psnr_bicubic

_VALIDATION_SIDE = 96
_LOG_HEAD = ("step", "seconds", "psnr", "bicubic", "with_reference", "reference_bicubic")


class Trainer:
    """One run of one recipe in one folder.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    data_root : Path
        Folder that the recipe's folders and slides are relative to.
    output : Path
        Holds ``last.safetensors`` (the run's state), ``NAME.safetensors`` (the best model),
        ``recipe.yaml`` and ``log.csv``. A run found there is taken up.
    """

    def __init__(self, recipe: Recipe, data_root: Path, output: Path) -> None:
        self.recipe = recipe
        self.output = output
        self.data = load_data(recipe, data_root)
        self.sampler = PatchSampler(self.data.training, recipe.scale, recipe.patch)
        self.held_out = centre_crops(self.data.held_out, recipe.scale, _VALIDATION_SIDE)
        last = output / "last.safetensors"
        self.state = RunState.load(last, recipe) if last.exists() else RunState(recipe)
        try:
            output.mkdir(parents=True, exist_ok=True)
            (output / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
            self._drop_log_after(self.state.step)
        except OSError as error:
            raise OutputError(
                f"Cannot write to {output}: {error.strerror or error}; choose another output."
            ) from error

    @property
    def weights(self) -> Path:
        """The file of the best model so far."""
        return self.output / f"{self.recipe.name}.safetensors"

    def run(self, cancel: CancelToken | None = None) -> Iterator[Event]:
        """Train to the end of the recipe, or until ``cancel``; the best model is on disk then.

        Raises
        ------
        TrainingError
            If the loss or its gradient is no longer finite; the last checkpoint is kept.
        OutputError
            If the folder cannot be written to.
        """
        cancel = cancel or CancelToken()
        state = self.state
        last = self.output / "last.safetensors"
        saved = state.step if last.exists() else -1
        while state.step < self.recipe.steps and not cancel.cancelled:
            yield self._step()
            if state.step % self.recipe.validate_every == 0 or state.step == self.recipe.steps:
                validation = self._validate()
                state.save(last)
                saved = state.step
                yield validation
                yield CheckpointWritten(saved, last)
        if cancel.cancelled and saved != state.step:
            validation = self._validate()
            state.save(last)
            yield validation
            yield CheckpointWritten(state.step, last)
        yield Done(state.step, self.weights, state.best_psnr, cancel.cancelled)

    def _step(self) -> StepDone:
        state, recipe = self.state, self.recipe
        began = time.perf_counter()
        rate = state.learning_rate()
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        batch = self.sampler.batch(recipe.batch, state.generator)
        with_reference = bool(state.generator.random() < recipe.reference_share)
        loss = self._loss(batch, with_reference)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise self._diverged("loss", value)
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), recipe.gradient_clip)
        if not math.isfinite(float(norm)):
            raise self._diverged("gradient norm", float(norm))
        state.optimiser.step()
        state.step += 1
        state.update_average()
        state.seconds += time.perf_counter() - began
        return StepDone(state.step, value, rate, state.seconds)

    def _diverged(self, what: str, value: float) -> TrainingError:
        return TrainingError(
            f"The {what} is {value} at step {self.state.step}; the last checkpoint is kept. "
            "Lower learning_rate in the recipe and start again in another output folder."
        )

    def _loss(self, batch: Batch, with_reference: bool) -> torch.Tensor:
        network = self.state.network
        lr = batch.lr.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.dtype == "bfloat16"):
            output = network(lr, batch.reference if with_reference else None)
        return total_loss(network, output, batch, self.recipe.loss)

    def _validate(self) -> Validation:
        state, scale = self.state, self.recipe.scale
        both = self.recipe.reference_share > 0
        alone = mean_psnr(state.average, self.held_out, with_reference=False)
        paired = mean_psnr(state.average, self.held_out, with_reference=True) if both else None
        bicubic = mean_psnr_bicubic(self.held_out, scale, of_reference=False)
        enlarged = mean_psnr_bicubic(self.held_out, scale, of_reference=True) if both else None
        score = alone if paired is None else (alone + paired) / 2
        best = score > state.best_psnr
        if best:
            state.best_psnr = score
            save_weights(self.weights, state.average, self._provenance())
        event = Validation(state.step, alone, bicubic, paired, enlarged, best)
        self._log(event)
        return event

    def _provenance(self) -> dict[str, Any]:
        recipe = self.recipe
        return {
            "recipe": self._told_recipe().model_dump(mode="json"),
            "reference_share": recipe.reference_share,
            "step": self.state.step,
            "seconds": round(self.state.seconds, 1),
            "validation_psnr": round(self.state.best_psnr, 4),
            "software": f"napari-cwtnet {__version__}, torch {torch.__version__}",
            "machine": platform.processor() or platform.machine(),
        }

    def _told_recipe(self) -> Recipe:
        """The recipe as it may be published: slides by fingerprint, never by path."""
        recipe = self.recipe.without_paths()
        slides = tuple(
            slide.model_copy(update={"fingerprint": fingerprint})
            for slide, fingerprint in zip(recipe.slides, self.data.fingerprints, strict=True)
        )
        return recipe.model_copy(update={"slides": slides})

    def _log(self, event: Validation) -> None:
        path = self.output / "log.csv"
        fresh = not path.exists()
        row: Sequence[Any] = (
            event.step,
            round(self.state.seconds, 1),
            event.psnr,
            event.psnr_bicubic,
            event.psnr_with_reference,
            event.psnr_reference_bicubic,
        )
        try:
            with path.open("a", newline="", encoding="utf-8") as handle:
                csv.writer(handle).writerows([_LOG_HEAD, row] if fresh else [row])
        except OSError as error:
            raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from error

    def _drop_log_after(self, step: int) -> None:
        """Forget what a run that was killed logged after the checkpoint: it comes again."""
        path = self.output / "log.csv"
        if not path.exists():
            return
        with path.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.reader(handle))[1:]
        kept = [row for row in rows if row and row[0].isdigit() and int(row[0]) <= step]
        with path.open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle).writerows([_LOG_HEAD, *kept])


def held_out_fields(recipe: Recipe, data_root: Path) -> dict[str, list[Field]]:
    """The held-out images of each source, whole."""
    return {
        source.name: list(load_fields(source, data_root, recipe.scale, held_out=True))
        for source in recipe.sources
    }
