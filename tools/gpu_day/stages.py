"""The three runs of the day, ×2 to ×8, each of which begins with what the one before has learnt."""

from __future__ import annotations

import time
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from warm_start import warm_start

from gpu_day.feed import Feed
from gpu_day.pack import used_whole
from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.model import CwtNet, NetworkConfig, load_model, save_weights
from napari_cwtnet.training.events import Done, Preview, StepDone, Validation
from napari_cwtnet.training.recipe import Recipe, StartModel, load_recipe, shipped_recipes
from napari_cwtnet.training.trainer import Trainer

SCALES = (2, 4, 8)
SHARES = {2: 0.4, 4: 0.4, 8: 0.2}
"""Of the minutes."""
_PATCHES = {2: (48, 64), 4: (40, 56), 8: (32, 40)}
"""Side of the LR patch, and of the late one."""
_BATCH = 64
_TOY = {
    "blocks": 1, "channels": 8, "sr_residual_blocks": 1, "wt_residual_blocks": 1, "wr_blocks": 1,
    "tile": 32,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Day:
    """What all calls of a day have in common.

    Parameters
    ----------
    output : Path
        Holds the runs.
    minutes : float
        Of training, in all three runs together.
    device : torch.device
        Where they train.
    toy : bool
        Tiny networks and patches, which a processor trains in seconds.
    seed : int
        Of all three.
    """

    output: Path
    minutes: float
    device: torch.device
    toy: bool = False
    seed: int = 0

    def folder(self, scale: int) -> Path:
        """Of one run."""
        return self.output / f"x{scale}"

    def weights(self, scale: int) -> Path:
        """The best of one run so far."""
        return self.folder(scale) / f"cwtnet-x{scale}.safetensors"

    def recipe(self, scale: int) -> Recipe:
        """The lite recipe of that scale, for the paper's size and this device."""
        lite = load_recipe(shipped_recipes()[f"cwtnet-lite-x{scale}"])
        patch, late = _PATCHES[scale]
        changes: dict[str, Any] = {
            "name": f"cwtnet-x{scale}",
            "preset": "house",
            "network": {"conditioning": 64},
            "start": None,
            "sources": used_whole(lite.sources),
            "patch": patch,
            "late_patch": late,
            "batch": _BATCH,
            "minutes": self.minutes * SHARES[scale],
            "device": str(self.device),
            "dtype": "bfloat16",
            "seed": self.seed,
        }
        if self.toy:
            changes |= {
                "network": _TOY | {"conditioning": 8}, "patch": 16, "late_patch": None,
                "batch": 4, "validate_every": 100_000,
            }  # fmt: skip
        recipe = Recipe.model_validate(lite.model_dump() | changes)
        start = self.folder(scale) / "start.safetensors"
        if start.exists():
            recipe = recipe.model_copy(update={"start": StartModel(name=str(start))})
        return recipe

    def begin(self, scale: int, given: Path | None) -> None:
        """Make the run's start: a model that was given, or the run before, fitted to this scale."""
        folder = self.folder(scale)
        start = folder / "start.safetensors"
        if (folder / "last.safetensors").exists() or start.exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        if given is not None and (given / self.weights(scale).name).exists():
            model = load_model(given / self.weights(scale).name)
            save_weights(start, model.network, dict(model.provenance))
        elif scale > SCALES[0] and self.weights(scale // 2).exists():
            model = load_model(self.weights(scale // 2))
            config = self.recipe(scale).network_config()
            if not (isinstance(model.network, CwtNet) and isinstance(config, NetworkConfig)):
                raise AssertionError("all runs train CWT-Nets")
            made_of = {"warm_start_of": {"name": model.name, "sha256": model.sha256}}
            save_weights(start, warm_start(model.network, config), made_of)


class DayTrainer(Trainer):
    """A trainer whose batches come from a :class:`~gpu_day.feed.Feed`."""

    def __init__(self, recipe: Recipe, data: Path, output: Path, pool: Executor) -> None:
        self._pool = pool
        self.feeds: list[Feed] = []
        super().__init__(recipe, data, output)

    def _sampler(self, patch: int) -> Feed:
        recipe = self.recipe
        if recipe.degradation is None:
            raise AssertionError("the shipped recipes all have a degradation")
        for feed in self.feeds:
            feed.drop()
        feed = Feed(
            self.data.training,
            scale=recipe.scale,
            patch=patch,
            mix=recipe.degradation,
            device=torch.device(recipe.device),
            pool=self._pool,
            seed=recipe.seed,
            number=lambda: self.state.step,
        )
        self.feeds.append(feed)
        return feed


def train(
    day: Day,
    scale: int,
    data: Path,
    pool: Executor,
    *,
    until: float,
    given: Path | None = None,
) -> dict[str, Any]:
    """Take a run up, or begin it, and go on until its minutes or the time are over.

    Parameters
    ----------
    day : Day
        Whose run.
    scale : int
        Which one.
    data : Path
        Folder of unpacked images.
    pool : Executor
        Draws and compresses.
    until : float
        Of :func:`time.monotonic`, when the last step may begin.
    given : Path, optional
        Folder of weights to begin from.

    Returns
    -------
    dict
        Figures of the run and of how fast it was fed.
    """
    day.begin(scale, given)
    recipe = day.recipe(scale)
    trainer = DayTrainer(recipe, data, day.folder(scale), pool)
    first = trainer.feeds[0]
    alone = first.rate(recipe.batch, 1.0 if day.toy else 4.0)
    before, cancel, stopped = trainer.state.step, CancelToken(), False
    busy = 0.0
    began = trainer.state.seconds
    for event in trainer.run(cancel):
        if isinstance(event, StepDone):
            busy += event.seconds - began
        elif isinstance(event, Preview):
            _save_preview(event, day.folder(scale) / "preview.png")
        elif isinstance(event, Validation):
            gain = event.psnr - event.psnr_bicubic
            print(f"x{scale} step {event.step}: {event.psnr:.2f} dB, {gain:+.2f} over bicubic")
        elif isinstance(event, Done):
            stopped = event.stopped
        began = trainer.state.seconds
        if time.monotonic() >= until:
            cancel.cancel()
    trainer.feeds[-1].drop()
    patches = sum(feed.patches for feed in trainer.feeds)
    waited = sum(feed.waited for feed in trainer.feeds)
    return {
        "step": trainer.state.step,
        "steps_of_this_call": trainer.state.step - before,
        "seconds": round(trainer.state.seconds, 1),
        "over": not stopped,
        "psnr": trainer.state.best_psnr,
        "fed_alone_per_s": round(alone, 1),
        "trained_per_s": round(patches / busy, 1) if busy else None,
        "waiting_share": round(waited / busy, 3) if busy else None,
        "gpu_gib": _gpu_gib(day.device),
        "log": (day.folder(scale) / "log.csv").read_text(encoding="utf-8").splitlines(),
    }


def _save_preview(event: Preview, path: Path) -> None:
    """The start or bicubic, the best now, and the truth, side by side."""
    row = [event.before, event.now, event.truth]
    Image.fromarray(np.concatenate(row, axis=1)).save(path)


def _gpu_gib(device: torch.device) -> float | None:
    if device.type != "cuda":
        return None
    return round(torch.cuda.max_memory_allocated(device) / 2**30, 1)
