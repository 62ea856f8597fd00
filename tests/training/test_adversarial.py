"""SRGAN: the discriminator learns, the network feels it, and a run goes on bit for bit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.model import load_model
from napari_cwtnet.training.events import StepDone, Validation
from napari_cwtnet.training.losses import Adversary, Discriminator, detail_distance
from napari_cwtnet.training.recipe import Adversarial, Recipe
from napari_cwtnet.training.trainer import Trainer
from napari_cwtnet.training.workers import Workers
from training.conftest import tiny_recipe
from training.test_trainer import assert_same_state

CPU = torch.device("cpu")


def srgan(**changes: Any) -> Recipe:
    fields = {
        "architecture": "srresnet",
        "preset": "published",
        "network": {"blocks": 1, "channels": 8, "skip": "bicubic"},
        "adversarial": {"channels": 4, "weight": 0.01, "after": 2},
    }
    return tiny_recipe(**(fields | changes))


def test_discriminator_has_the_layers_of_its_paper() -> None:
    network = Discriminator()
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(c.out_channels, c.stride[0]) for c in convolutions] == [
        (64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2),
    ]  # fmt: skip
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(5.2e6, rel=0.01)
    for side in (32, 96):
        assert network(torch.rand(2, 3, side, side)).shape == (2, 1)


def test_detail_distance_is_that_of_the_bands_and_blind_to_the_mean() -> None:
    flat, truth = torch.full((1, 3, 8, 8), 0.5), torch.full((1, 3, 8, 8), 0.25)
    assert float(detail_distance(flat, truth)) == 0
    truth[:, :, ::2, ::2] += 0.4  # every 2 × 2 block: LH, HL and HH are 0.2 each, LL is flat
    assert float(detail_distance(flat, truth)) == pytest.approx(0.6)
    odd = detail_distance(torch.rand(1, 3, 6, 6), torch.rand(1, 3, 6, 6))  # one octave only
    assert math.isfinite(float(odd))


def test_discriminator_learns_to_tell_and_the_network_is_pushed_to_deceive() -> None:
    torch.manual_seed(0)
    adversary = Adversary(Adversarial(channels=8, details=0, learning_rate=1e-3), CPU)
    truth, sr = torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32) * 0.1 + 0.4
    losses = [adversary.learn(sr, truth, Workers(CPU)) for _ in range(12)]
    assert losses[0] == pytest.approx(math.log(4), rel=0.1)
    assert losses[-1] < 0.5 * losses[0]
    before = [p.clone() for p in adversary.discriminator.parameters()]
    made = sr.clone().requires_grad_()
    first = adversary.loss_of(made, truth)
    first.backward()
    for kept, now in zip(before, adversary.discriminator.parameters(), strict=True):
        assert torch.equal(kept, now)
    step = made.detach() - 0.5 * made.grad / made.grad.abs().max()
    assert adversary.loss_of(step, truth).item() < first.item()


def test_it_begins_after_its_steps_and_changes_the_run(data_root: Path, tmp_path: Path) -> None:
    runs = {
        name: [e.loss for e in Trainer(recipe, data_root, tmp_path / name).run()
               if isinstance(e, StepDone)]
        for name, recipe in {"plain": srgan(adversarial=None), "gan": srgan()}.items()
    }  # fmt: skip
    assert runs["plain"][:2] == runs["gan"][:2]
    assert runs["plain"][2] < runs["gan"][2]  # the same network, the loss has a term more


def test_stopped_and_taken_up_is_the_unbroken_run(data_root: Path, tmp_path: Path) -> None:
    recipe = srgan(steps=8, validate_every=4)
    whole = Trainer(recipe, data_root, tmp_path / "whole")
    assert [e.step for e in whole.run() if isinstance(e, StepDone)] == list(range(1, 9))
    cancel = CancelToken()
    for event in Trainer(recipe, data_root, tmp_path / "parts").run(cancel):
        if isinstance(event, StepDone) and event.step == 5:
            cancel.cancel()
    again = Trainer(recipe, data_root, tmp_path / "parts")
    assert [e.step for e in again.run() if isinstance(e, StepDone)] == [6, 7, 8]
    assert_same_state(whole.state, again.state)
    first, second = whole.state.adversary, again.state.adversary
    assert first is not None
    assert second is not None
    kept, taken = first.tensors(), second.tensors()
    assert kept.keys() == taken.keys()
    assert any("running_mean" in name for name in kept)
    assert all(torch.equal(kept[name], taken[name]) for name in kept)
    assert first.steps() == second.steps()
    assert set(first.steps().values()) == {6.0}
    for x, y in zip(whole.state.average.buffers(), again.state.average.buffers(), strict=True):
        assert torch.equal(x, y)


def test_last_weights_are_kept_though_psnr_falls(data_root: Path, tmp_path: Path) -> None:
    recipe = srgan(
        adversarial={"channels": 4, "weight": 10.0, "details": 0.0}, learning_rate=1e-2, ema=0
    )
    trainer = Trainer(recipe, data_root, tmp_path / "run")
    found = [e for e in trainer.run() if isinstance(e, Validation)]
    assert found[-1].psnr < found[0].psnr
    assert [e.best for e in found] == [True, True]
    model = load_model(trainer.weights)
    assert model.provenance["step"] == 6
    assert model.provenance["recipe"]["adversarial"]["weight"] == 10
    assert model.config.architecture == "srresnet"
