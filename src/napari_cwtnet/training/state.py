"""Everything that a training run needs to go on as if it had never stopped."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.files import refuse_pipe, written_whole
from napari_cwtnet.model.base import Network
from napari_cwtnet.training.adam import Adam
from napari_cwtnet.training.losses import Adversary, adam_steps, moments, put_back
from napari_cwtnet.training.recipe import Recipe
from napari_cwtnet.training.run_folder import Progress, in_words, read_progress

_CPU = torch.device("cpu")


def placed(network: Network, device: torch.device) -> Network:
    """The network itself, on ``device`` and in the memory format of a run.

    Rounding follows the format: the same weights in another one may give a pixel that is one grey
    level off. What a run compares is therefore all in this one.
    """
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


class RunState:
    """Network, averaged network, optimiser, random numbers and progress of a run.

    Parameters
    ----------
    recipe : Recipe
        What the run does.
    start : Network, optional
        Begin with these weights; of the recipe's own config.
    device : torch.device
        Where the networks are.
    """

    def __init__(
        self, recipe: Recipe, start: Network | None = None, device: torch.device = _CPU
    ) -> None:
        self.recipe = recipe
        with torch.random.fork_rng(devices=()):  # others in this process draw their own numbers
            torch.default_generator.manual_seed(recipe.seed)
            network = recipe.new_network()
            if network.parameter_count() == 0:
                raise TrainingError(
                    f"architecture: {recipe.architecture} has nothing to learn; choose another."
                )
            fields = recipe.adversarial
            self.adversary = None if fields is None else Adversary(fields, device)
        if start is not None:
            network.load_state_dict(start.state_dict())
        self.network = placed(network, device)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimiser = Adam(self.network.parameters(), lr=recipe.learning_rate)
        self.generator = np.random.default_rng(recipe.seed)
        self.step = 0
        self.seconds = 0.0
        self.validation_seconds = 0.0
        """Of the last validation; as much of a time budget is kept for the next one."""
        self.measured = -1
        """Step at which the weights were last measured."""
        self.best_psnr = -math.inf
        self.best_by_mode: tuple[float, float | None] | None = None
        """Of the best model, without and with reference; an older state does not say it."""
        self.start_psnr: tuple[float, float | None] | None = None
        """Of the start model, without and with reference."""

    def learning_rate(self) -> float:
        """The rate for the next step: linear warm-up, then a cosine to 1 % of the peak.

        The cosine ends with the steps or the minutes, whichever come to their end first.
        """
        recipe = self.recipe
        if self.step < recipe.warm_up:
            return recipe.learning_rate * (self.step + 1) / recipe.warm_up
        done = (self.step - recipe.warm_up) / max(1, recipe.steps - recipe.warm_up)
        if recipe.minutes is not None:
            done = max(done, self.seconds / (60 * recipe.minutes))
        return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))

    def update_average(self) -> None:
        """Move the averaged weights towards the present ones; a plain copy while it warms up."""
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
            for old, now in zip(self.average.buffers(), self.network.buffers(), strict=True):
                if old.is_floating_point():  # statistics of a batch normalisation
                    old.lerp_(now, 1 - decay)
                else:
                    old.copy_(now)

    def save(self, path: Path) -> None:
        """Write the whole state to ``path`` (safetensors), whole or not at all."""
        tensors: dict[str, Tensor] = {}
        for part, network in (("network", self.network), ("average", self.average)):
            tensors |= {
                f"{part}/{n}": p.detach().contiguous() for n, p in network.state_dict().items()
            }
        tensors |= moments(self.optimiser, self.network)
        progress = {
            "step": self.step,
            "seconds": self.seconds,
            "validation_seconds": self.validation_seconds,
            "measured": self.measured,
            "best_psnr": self.best_psnr,
            "best_by_mode": self.best_by_mode,
            "start_psnr": self.start_psnr,
            "generator": self.generator.bit_generator.state,
            "adam_steps": adam_steps(self.optimiser, self.network),
        }
        if self.adversary is not None:
            tensors |= self.adversary.tensors()
            progress["discriminator_steps"] = self.adversary.steps()
        metadata = {"progress": json.dumps(progress), "recipe": self.recipe.model_dump_json()}
        with written_whole(path) as partial:
            partial.write_bytes(save(tensors, metadata))

    @classmethod
    def load(cls, path: Path, recipe: Recipe, device: torch.device = _CPU) -> RunState:
        """Take up a saved run.

        Raises
        ------
        TrainingError
            If the file is damaged or was made by another recipe.
        """
        try:
            refuse_pipe(path)
            with safe_open(path, framework="pt") as archive:
                metadata = archive.metadata() or {}
                tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
            same = Recipe.model_validate_json(metadata.get("recipe", "")) == recipe
            state = cls(recipe, device=device)
            if same:
                state._restore(tensors, read_progress(metadata))
        except (
            SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError, OverflowError,
        ) as error:  # fmt: skip
            raise TrainingError(
                f"Checkpoint {path} cannot be read: {in_words(error)}; "
                "delete it to start again, or choose another output folder."
            ) from error
        if not same:
            raise TrainingError(
                f"Checkpoint {path} was made by another recipe; choose another output folder."
            )
        return state

    def _restore(self, tensors: dict[str, Tensor], known: Progress) -> None:
        self.step, self.seconds = known.step, known.seconds
        self.validation_seconds = known.validation_seconds
        self.measured = known.step if known.measured is None else known.measured
        self.best_psnr = known.best_psnr
        self.best_by_mode, self.start_psnr = known.best_by_mode, known.start_psnr
        self.generator.bit_generator.state = known.generator
        with torch.no_grad():
            for part, network in (("network", self.network), ("average", self.average)):
                for name, value in network.state_dict().items():  # not copies
                    found = tensors[f"{part}/{name}"]
                    if found.shape != value.shape:  # one number would fill all of it
                        raise ValueError(f"{part}/{name} is {tuple(found.shape)}")
                    value.copy_(found)
        put_back(self.optimiser, self.network, tensors, known.adam_steps, step=self.step)
        if self.adversary is not None:
            self.adversary.restore(tensors, known.discriminator_steps)
