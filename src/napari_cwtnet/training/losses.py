"""The loss: pixels and SSIM (the paper's Eqs. 10 to 14), Haar details, and the adversarial term."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_cwtnet.metrics import ssim_map
from napari_cwtnet.model.base import Network, NetworkOutput
from napari_cwtnet.model.config import Band
from napari_cwtnet.model.wavelet import dwt, sub_bands
from napari_cwtnet.training.adam import Adam
from napari_cwtnet.training.fields import Batch
from napari_cwtnet.training.recipe import Adversarial, Loss
from napari_cwtnet.training.workers import Workers

_DETAILS: tuple[Band, ...] = ("LH", "HL", "HH")


def distance(image: Tensor, truth: Tensor, ssim_weight: float, pixel: str) -> Tensor:
    """Pixel distance plus ``ssim_weight · (1 - SSIM)``, a scalar."""
    near = F.l1_loss(image, truth) if pixel == "l1" else F.mse_loss(image, truth)
    if ssim_weight == 0:
        return near
    return near + ssim_weight * (1 - ssim_map(image, truth).mean())


def total_loss(network: Network, output: NetworkOutput, batch: Batch, loss: Loss) -> Tensor:
    """L (Eq. 10), a scalar; without a WT branch it has no WT term."""
    total = loss.sr * distance(output.sr.float(), batch.truth, loss.sr_ssim, loss.pixel)
    if loss.sr_haar > 0:
        found, wanted = (sub_bands(i, _DETAILS) for i in (output.sr.float(), batch.truth))
        total = total + loss.sr * loss.sr_haar * F.l1_loss(found, wanted)
    if output.wt is not None and loss.wt > 0:
        target = network.wt_target(batch.reference)
        total = total + loss.wt * distance(output.wt.float(), target, loss.wt_ssim, loss.pixel)
    return total


_SLOPE = 0.2
_HIDDEN = 1024


class Discriminator(nn.Module):
    """Eight convolutions, every second one halving, and two dense layers.

    Unlike the paper, features are averaged over the patch before the dense layers: patches may be
    of any size, and there are 5.2 million parameters instead of 23.6.

    Parameters
    ----------
    channels : int
        Channels of the first layer; the last has eight times as many.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1), nn.LeakyReLU(_SLOPE)]
        inputs = channels
        for outputs, stride in zip(
            (channels * factor for factor in (1, 2, 2, 4, 4, 8, 8)),
            (2, 1, 2, 1, 2, 1, 2),
            strict=True,
        ):
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride, padding=1),
                nn.BatchNorm2d(outputs),
                nn.LeakyReLU(_SLOPE),
            ]
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.judge = nn.Sequential(
            nn.Linear(inputs, _HIDDEN), nn.LeakyReLU(_SLOPE), nn.Linear(_HIDDEN, 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        """``(N, 3, H, W)`` in 0..1 to ``(N, 1)``: a logit, high for images that look real."""
        verdict: Tensor = self.judge(self.features(2 * image - 1).mean((2, 3)))
        return verdict


_MOMENTS = ("exp_avg", "exp_avg_sq")


def moments(
    optimiser: torch.optim.Optimizer, network: nn.Module, prefix: str = ""
) -> dict[str, Tensor]:
    """Adam's moments of every parameter that has been stepped, as ``PREFIXexp_avg/NAME``."""
    found: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        for moment in _MOMENTS:
            value = optimiser.state[parameter].get(moment)
            if value is not None:
                found[f"{prefix}{moment}/{name}"] = value.contiguous()
    return found


def adam_steps(optimiser: torch.optim.Optimizer, network: nn.Module) -> dict[str, float]:
    """Steps of each parameter, which differ: a batch steps only the parameters that it uses."""
    return {
        name: float(optimiser.state[parameter]["step"])
        for name, parameter in network.named_parameters()
        if "step" in optimiser.state[parameter]
    }


def put_back(
    optimiser: torch.optim.Optimizer,
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    steps: Mapping[str, Any],
    *,
    prefix: str = "",
    step: int = 0,
) -> None:
    """Restore an optimiser from :func:`moments` and :func:`adam_steps`; ``step`` for the rest.

    Raises
    ------
    KeyError
        If a moment is missing.
    """
    for name, parameter in network.named_parameters():
        if f"{prefix}exp_avg/{name}" in tensors:
            optimiser.state[parameter] = {
                "step": torch.tensor(float(steps.get(name, step))),
                # in the parameter's memory layout, so that sums round the same way
                **{
                    moment: torch.empty_like(parameter, requires_grad=False).copy_(
                        tensors[f"{prefix}{moment}/{name}"]
                    )
                    for moment in _MOMENTS
                },
            }


_OCTAVES = 3
_PREFIX = "discriminator"


def detail_distance(sr: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference of the Haar detail bands, summed over at most three octaves.

    Of :class:`Adversarial`; ``sr_haar`` of :class:`Loss` is the mean over the bands of one octave.

    Parameters
    ----------
    sr, truth : Tensor
        ``(N, 3, H, W)`` in 0..1, H and W even.
    """
    total = sr.new_zeros(())
    for _ in range(_OCTAVES):
        if sr.shape[-1] % 2 or sr.shape[-2] % 2:
            break
        made, wanted = dwt(sr), dwt(truth)
        for band in ("LH", "HL", "HH"):
            total = total + F.l1_loss(made[band], wanted[band])
        sr, truth = made["LL"] / 2, wanted["LL"] / 2  # a mean: in 0..1 again
    return total


class Adversary:
    """A discriminator and its optimiser.

    Parameters
    ----------
    fields : Adversarial
        Its part of the recipe. Weights are drawn from torch's random numbers.
    device : torch.device
        Where it runs.
    """

    def __init__(self, fields: Adversarial, device: torch.device) -> None:
        self.fields = fields
        self.discriminator = Discriminator(fields.channels).to(device)
        self.optimiser = Adam(self.discriminator.parameters(), lr=fields.learning_rate)

    def begins(self, step: int) -> bool:
        """Whether it takes part in a step, counted from 0."""
        return step >= self.fields.after

    def loss_of(self, sr: Tensor, truth: Tensor) -> Tensor:
        """The adversarial term of the network's loss; the discriminator gets no gradient."""
        self.discriminator.requires_grad_(False)
        verdict = self.discriminator(sr)
        self.discriminator.requires_grad_(True)
        fooled = F.binary_cross_entropy_with_logits(verdict, torch.ones_like(verdict))
        loss = self.fields.weight * fooled
        if self.fields.details > 0:
            loss = loss + self.fields.details * detail_distance(sr, truth)
        return loss

    def learn(self, sr: Tensor, truth: Tensor, workers: Workers) -> float:
        """One step of the discriminator; returns its loss, ln 4 at chance level.

        Parameters
        ----------
        sr, truth : Tensor
            ``(N, 3, H, W)`` in 0..1, without gradient.
        workers : Workers
            The processes that compute the batch.
        """
        real, made = self.discriminator(truth), self.discriminator(sr)
        loss = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        loss = loss + F.binary_cross_entropy_with_logits(made, torch.zeros_like(made))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        workers.mean_gradients(self.discriminator.parameters())
        self.optimiser.step()
        return workers.mean(loss.detach())

    def tensors(self) -> dict[str, Tensor]:
        """Weights, statistics and moments by name, for a run's state."""
        state = self.discriminator.state_dict().items()
        kept = {f"{_PREFIX}/{name}": value.contiguous() for name, value in state}
        return kept | moments(self.optimiser, self.discriminator, f"{_PREFIX}_")

    def steps(self) -> dict[str, float]:
        """Number of steps of each parameter."""
        return adam_steps(self.optimiser, self.discriminator)

    def restore(self, tensors: dict[str, Tensor], steps: dict[str, Any]) -> None:
        """Restore what :meth:`tensors` and :meth:`steps` returned."""
        with torch.no_grad():
            for name, value in self.discriminator.state_dict().items():
                value.copy_(tensors[f"{_PREFIX}/{name}"])
        put_back(self.optimiser, self.discriminator, tensors, steps, prefix=f"{_PREFIX}_")
