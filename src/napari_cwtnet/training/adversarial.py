"""The other side of an adversarial training: what judges, and how it learns."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_cwtnet.model.wavelet import dwt
from napari_cwtnet.training.discriminator import Discriminator
from napari_cwtnet.training.loss_fields import Adversarial
from napari_cwtnet.training.moments import adam_steps, moments, put_back
from napari_cwtnet.training.workers import Workers

_OCTAVES = 3
_PREFIX = "discriminator"


def detail_distance(sr: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference of the Haar detail bands, summed over at most three octaves.

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
        What the recipe says of it. Weights are drawn from torch's random numbers.
    device : torch.device
        Where it is.
    """

    def __init__(self, fields: Adversarial, device: torch.device) -> None:
        self.fields = fields
        self.discriminator = Discriminator(fields.channels).to(device)
        self.optimiser = torch.optim.Adam(self.discriminator.parameters(), lr=fields.learning_rate)

    def begins(self, step: int) -> bool:
        """Whether it takes part in a step, counted from 0."""
        return step >= self.fields.after

    def loss_of(self, sr: Tensor, truth: Tensor) -> Tensor:
        """What is added to the network's loss, a scalar; the discriminator gets no gradient."""
        self.discriminator.requires_grad_(False)
        verdict = self.discriminator(sr)
        self.discriminator.requires_grad_(True)
        deceived = F.binary_cross_entropy_with_logits(verdict, torch.ones_like(verdict))
        loss = self.fields.weight * deceived
        if self.fields.details > 0:
            loss = loss + self.fields.details * detail_distance(sr, truth)
        return loss

    def learn(self, sr: Tensor, truth: Tensor, workers: Workers) -> float:
        """One step of the discriminator; gives its loss, ln 4 where it knows nothing.

        Parameters
        ----------
        sr, truth : Tensor
            ``(N, 3, H, W)`` in 0..1, without gradient.
        workers : Workers
            Who computes the other parts of the batch.
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
        """How many steps each parameter has made."""
        return adam_steps(self.optimiser, self.discriminator)

    def restore(self, tensors: dict[str, Tensor], steps: dict[str, Any]) -> None:
        """Take up what :meth:`tensors` and :meth:`steps` gave."""
        with torch.no_grad():
            for name, value in self.discriminator.state_dict().items():
                value.copy_(tensors[f"{_PREFIX}/{name}"])
        put_back(self.optimiser, self.discriminator, tensors, steps, prefix=f"{_PREFIX}_")
