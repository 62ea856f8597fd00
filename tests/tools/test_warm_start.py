"""A network of another shape begins with what the old one knew."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_cwtnet.model import CwtNet, NetworkConfig, load_model, preset, save_weights
from napari_cwtnet.model.conditioning import LENGTH

SCRIPT = Path(__file__).parents[2] / "tools" / "warm_start.py"


@pytest.fixture(scope="module")
def warm_start() -> Callable[..., CwtNet]:
    """The script's function, without the script being run."""
    spec = importlib.util.spec_from_file_location("warm_start", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.warm_start


def config(scale: int = 2, **changes: Any) -> NetworkConfig:
    return preset("lite", scale, **({"blocks": 2, "channels": 8, "wt_branch": False} | changes))


def trained(shape: NetworkConfig, seed: int = 3) -> CwtNet:
    """A network whose every weight counts."""
    network, generator = CwtNet(shape).eval(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return network


@torch.no_grad()
def test_wider_and_deeper_computes_the_same(warm_start: Callable[..., CwtNet]) -> None:
    old = trained(config())
    lr = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    before = old(lr).sr
    assert (before - CwtNet(config())(lr).sr).abs().max() > 0.1  # it is far from untrained
    for changes in ({"channels": 16}, {"blocks": 4}, {"channels": 16, "blocks": 3}):
        new = warm_start(old, config(**changes)).eval()
        assert new.parameter_count() > old.parameter_count()
        assert torch.allclose(new(lr).sr, before, atol=1e-4), changes


@torch.no_grad()
def test_a_deeper_network_keeps_what_it_does_with_the_degradation(
    warm_start: Callable[..., CwtNet],
) -> None:
    old = trained(config(conditioning=16))
    lr = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    known = torch.rand(1, 2, LENGTH, generator=torch.Generator().manual_seed(1))
    before = old(lr, degradation=known).sr
    assert (before - old(lr).sr).abs().max() > 0.01
    new = warm_start(old, config(conditioning=16, blocks=4)).eval()
    assert torch.allclose(new(lr, degradation=known).sr, before, atol=1e-4)


@torch.no_grad()
def test_new_features_can_learn(warm_start: Callable[..., CwtNet]) -> None:
    with torch.enable_grad():
        new = warm_start(trained(config()), config(channels=16))
        new(torch.rand(1, 3, 16, 16)).sr.square().mean().backward()
    assert new.head.weight[8:].abs().max() > 0
    leaving = new.tail.last.weight
    assert not leaving[:, 8:].any()
    assert leaving.grad[:, 8:].abs().max() > 0


@torch.no_grad()
def test_steps_that_reach_no_further_become_one_convolution(
    warm_start: Callable[..., CwtNet],
) -> None:
    old = trained(config())
    step = old.tail[0].weight
    step[..., [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0  # so that 3 × 3 taps do
    lr = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    new = warm_start(old, config(upsampler="direct")).eval()
    inside = (..., slice(4, -4), slice(4, -4))
    assert (old(lr).sr - CwtNet(config())(lr).sr)[inside].abs().mean() > 0.1
    assert torch.allclose(new(lr).sr[inside], old(lr).sr[inside], atol=1e-4)


@torch.no_grad()
def test_known_sub_bands_keep_their_weights(warm_start: Callable[..., CwtNet]) -> None:
    old = trained(config(4, wt_branch=True))
    new = warm_start(old, config(4, wt_branch=True, bands=("LL", "LH", "HL", "HH")))
    assert torch.equal(new.wt_head.weight[:, 3:], old.wt_head.weight)
    assert not new.wt_head.weight[:, :3].any()
    assert torch.equal(new.wt_head.bias, old.wt_head.bias)


def test_the_file_says_what_it_was_made_of(tmp_path: Path) -> None:
    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    save_weights(old, trained(preset("lite", 2, blocks=1, channels=8)), {})
    done = subprocess.run(
        [sys.executable, SCRIPT, old, "--scale", "2", "--output", new],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = load_model(new)
    assert made.config == preset("lite-2", 2)
    known = {"name": "old", "sha256": load_model(old).sha256}
    assert made.provenance["warm_start_of"] == known
