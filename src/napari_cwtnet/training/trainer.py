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
from napari_cwtnet.errors import TrainingError
from napari_cwtnet.model.weights import save_weights
from napari_cwtnet.training.events import CheckpointWritten, Done, Event, StepDone, Validation
from napari_cwtnet.training.fields import Batch, Field, PatchSampler, load_fields
from napari_cwtnet.training.losses import total_loss
from napari_cwtnet.training.recipe import Recipe
from napari_cwtnet.training.state import RunState
from napari_cwtnet.training.validation import centre_crops, mean_psnr, mean_psnr_bicubic

_VALIDATION_SIDE = 96


class Trainer:
    """One run of one recipe in one folder.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    data_root : Path
        Folder that the recipe's source folders are relative to.
    output : Path
        Holds ``last.safetensors`` (the run's state), ``NAME.safetensors`` (the best model),
        ``recipe.yaml`` and ``log.csv``. A run found there is taken up.
    """

    def __init__(self, recipe: Recipe, data_root: Path, output: Path) -> None:
        self.recipe = recipe
        self.output = output
        output.mkdir(parents=True, exist_ok=True)
        training, held_out = [], []
        for source in recipe.sources:
            fields = list(load_fields(source, data_root, recipe.scale, held_out=False))
            training.append((source.weight, fields))
            held_out += list(load_fields(source, data_root, recipe.scale, held_out=True))
        if not held_out:
            raise TrainingError(
                "No source keeps images for validation; give held_out patterns in the recipe."
            )
        self.sampler = PatchSampler(training, recipe.scale, recipe.patch)
        self.held_out = centre_crops(held_out, recipe.scale, _VALIDATION_SIDE)
        last = output / "last.safetensors"
        self.state = RunState.load(last, recipe) if last.exists() else RunState(recipe)
        (output / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")

    @property
    def weights(self) -> Path:
        """The file of the best model so far."""
        return self.output / f"{self.recipe.name}.safetensors"

    def run(self, cancel: CancelToken | None = None) -> Iterator[Event]:
        """Train to the end of the recipe, or until ``cancel``; the best model is on disk then.

        Raises
        ------
        TrainingError
            If the loss is no longer finite; the last checkpoint is kept.
        """
        cancel = cancel or CancelToken()
        state = self.state
        while state.step < self.recipe.steps and not cancel.cancelled:
            yield self._step()
            if state.step % self.recipe.validate_every == 0 or state.step == self.recipe.steps:
                yield self._validate()
                state.save(self.output / "last.safetensors")
                yield CheckpointWritten(state.step, self.output / "last.safetensors")
        if cancel.cancelled:
            yield self._validate()
            state.save(self.output / "last.safetensors")
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
            raise TrainingError(
                f"The loss is {value} at step {state.step}; the last checkpoint is kept. "
                "Lower learning_rate in the recipe and start again."
            )
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(state.network.parameters(), recipe.gradient_clip)
        state.optimiser.step()
        state.step += 1
        state.update_average()
        state.seconds += time.perf_counter() - began
        return StepDone(state.step, value, rate, state.seconds)

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
            "recipe": recipe.model_dump(mode="json"),
            "reference_share": recipe.reference_share,
            "step": self.state.step,
            "seconds": round(self.state.seconds, 1),
            "validation_psnr": round(self.state.best_psnr, 4),
            "software": f"napari-cwtnet {__version__}, torch {torch.__version__}",
            "machine": platform.processor() or platform.machine(),
        }

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
        with path.open("a", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            if fresh:
                writer.writerow(
                    ("step", "seconds", "psnr", "bicubic", "with_reference", "reference_bicubic")
                )
            writer.writerow(row)


def held_out_fields(recipe: Recipe, data_root: Path) -> dict[str, list[Field]]:
    """The held-out images of each source, whole."""
    return {
        source.name: list(load_fields(source, data_root, recipe.scale, held_out=True))
        for source in recipe.sources
    }
