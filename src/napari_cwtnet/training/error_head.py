"""Teach a trained network to predict its own error; the rest of the network stays as it is."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.model import Model, NetworkConfig
from napari_cwtnet.model.network import CwtNet
from napari_cwtnet.training.adam import Adam
from napari_cwtnet.training.data import load_data
from napari_cwtnet.training.fields import Batch, PatchSampler
from napari_cwtnet.training.recipe import Recipe
from napari_cwtnet.training.validation import forward

CHANNELS = 16
PATCH = 64
_BATCH = 8
_RIM = 4
"""LR pixels at the edge of a patch, where the network sees less than it does in a tile."""
_RATE, _LAST_RATE = 2e-3, 2e-5


@dataclass(frozen=True, slots=True)
class HeadStep:
    """One step: its number, the loss, and the seconds since the start."""

    step: int
    loss: float
    seconds: float


def with_error_head(network: CwtNet, channels: int = CHANNELS) -> CwtNet:
    """A copy of a network with an untrained head that predicts its error.

    A head that the network already has is replaced.

    Parameters
    ----------
    network : CwtNet
        The network; left as it is.
    channels : int
        Hidden channels of the head.
    """
    fields = network.config.model_dump() | {"error_channels": channels}
    copied = CwtNet(NetworkConfig.model_validate(fields))
    own = {
        name: value
        for name, value in network.state_dict().items()
        if not name.startswith("error_head.")
    }
    copied.load_state_dict(own, strict=False)
    return copied.eval()


def error_size(sr: Tensor, truth: Tensor, scale: int) -> Tensor:
    """Mean size of the error within each LR pixel.

    Parameters
    ----------
    sr, truth : Tensor
        ``(N, 3, s·h, s·w)`` in 0..1; SR is clipped.
    scale : int
        s.

    Returns
    -------
    Tensor
        ``(N, 1, h, w)`` in 0..1.
    """
    difference = (sr.clamp(0, 1) - truth).abs().mean(1, keepdim=True)
    return F.avg_pool2d(difference, scale)


def head_loss(predicted: Tensor, size: Tensor) -> Tensor:
    """Negative log-likelihood of error sizes distributed exponentially about the prediction.

    It is least where the prediction is the mean of the sizes.
    """
    inner = (..., slice(_RIM, -_RIM), slice(_RIM, -_RIM))
    mean = predicted[inner]
    return (mean.log() + size[inner] / mean).mean()


class HeadTrainer:
    """Trains the error head of a model on the data of the recipe that the model was trained by.

    Parameters
    ----------
    model : Model
        A CWT-Net whose provenance has its recipe.
    data_root : Path
        Folder that the recipe's folders are relative to.
    steps : int
        Number of steps; the learning rate falls to a hundredth.
    seed : int
        Chooses the patches.

    Raises
    ------
    TrainingError
        If the model is no CWT-Net, has no recipe, or the data cannot be used.
    """

    def __init__(self, model: Model, data_root: Path, steps: int, seed: int = 0) -> None:
        if not isinstance(model.network, CwtNet) or "recipe" not in model.provenance:
            raise TrainingError(
                f"Model {model.name!r} is no CWT-Net with a recipe; choose one that `train` made."
            )
        torch.manual_seed(seed)
        self.recipe = Recipe.model_validate(model.provenance["recipe"])
        self.network = with_error_head(copy.deepcopy(model.network))
        self._steps = steps
        self._random = np.random.default_rng(seed)
        training = load_data(self.recipe, data_root).training
        self._sampler = PatchSampler(training, self.recipe.scale, PATCH, self.recipe.degradation)

    def run(self) -> Iterator[HeadStep]:
        """Train; yields after each step."""
        network, began = self.network, time.perf_counter()
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        network.error_head.requires_grad_(True)
        optimiser = Adam(network.error_head.parameters(), lr=_RATE)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self._steps, _LAST_RATE)
        for step in range(1, self._steps + 1):
            batch = self._sampler.batch(_BATCH, self._random)
            loss = self._loss(batch)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            falling.step()
            yield HeadStep(step, float(loss.detach()), time.perf_counter() - began)
        network.requires_grad_(True)

    def _loss(self, batch: Batch) -> Tensor:
        with_reference = bool(self._random.random() < self.recipe.reference_share)
        output = forward(self.network, batch, with_reference=with_reference, error=True)
        if output.error is None:
            raise AssertionError("the network has an error head")
        return head_loss(output.error, error_size(output.sr, batch.truth, self.recipe.scale))
