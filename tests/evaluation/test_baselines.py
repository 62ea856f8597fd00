"""Baselines: their published sizes, what they compute, and what they depend on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from training.conftest import tiles

from napari_cwtnet.evaluation.baselines.common import Baseline
from napari_cwtnet.model import CwtNet, Network, find_architecture, list_architectures, preset
from napari_cwtnet.model.blocks import bicubic

TRAINED = ("edsr", "mwcnn", "rcan", "srcnn", "srresnet", "swdnet")
SMALL: dict[str, dict[str, Any]] = {
    "edsr": {"blocks": 2, "channels": 8},
    "mwcnn": {"widths": (8, 8, 8, 8)},
    "rcan": {"groups": 2, "blocks": 1, "channels": 16, "reduction": 4},
    "srcnn": {"features": 32, "mapped": 16, "mapping_kernel": 5},
    "srresnet": {"blocks": 2, "channels": 8},
    "swdnet": {"fusions": 1, "channels": 8, "wavelet_blocks": 1, "band_channels": 4},
}
"""Of the same build as published, within a test's patience."""


def built(name: str, size: str, scale: int, **changes: Any) -> Network:
    architecture = find_architecture(name)
    torch.manual_seed(0)
    return architecture.network(architecture.preset(size, scale, **changes))


def parameters(name: str, size: str, scale: int) -> int:
    with torch.device("meta"):
        return built(name, size, scale).parameter_count()


def test_all_are_installed() -> None:
    assert list_architectures()[0] == "cwtnet"
    assert {*TRAINED, "bicubic"} <= set(list_architectures())


@pytest.mark.parametrize(
    ("name", "size", "scale", "millions"),
    [
        ("bicubic", "published", 2, 0),
        ("srcnn", "published", 2, 0.020),
        ("srcnn", "published", 8, 0.020),
        ("srcnn", "published-955", 4, 0.069),
        ("srresnet", "published", 2, 1.402),
        ("srresnet", "published", 4, 1.549),
        ("edsr", "published", 2, 1.370),
        ("edsr", "published", 4, 1.518),
        ("edsr", "published", 8, 1.665),
        ("edsr", "published-full", 2, 40.7),
        ("rcan", "published", 2, 15.44),
        ("rcan", "published", 4, 15.59),
        ("rcan", "published", 8, 15.74),
        ("mwcnn", "published", 2, 24.93),
        ("swdnet", "published", 2, 3.158),
    ],
)
def test_published_size_is_the_published_one(
    name: str, size: str, scale: int, millions: float
) -> None:
    reconstructed = 0.01 if name == "swdnet" else 0.002
    rounding = 0.0005  # srcnn is known to three digits
    wanted = pytest.approx(millions, rel=reconstructed, abs=rounding)
    assert parameters(name, size, scale) / 1e6 == wanted


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("name", TRAINED)
def test_matched_size_is_that_of_the_lite_model(name: str, scale: int) -> None:
    lite = CwtNet(preset("lite", scale)).parameter_count()
    assert parameters(name, "matched", scale) == pytest.approx(lite, rel=0.1)
    config = find_architecture(name).preset("matched", scale)
    house = preset("lite", scale)
    assert (config.tile, config.halo) == (house.tile, house.halo)
    assert getattr(config, "skip") == "bicubic"  # noqa: B009


@torch.no_grad()
@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("name", [*TRAINED, "bicubic"])
def test_output_has_the_size_whatever_the_sides_and_skip(name: str, scale: int) -> None:
    lr = torch.rand(2, 3, 13, 10)
    for skip in ("bicubic",) if name == "bicubic" else ("none", "bicubic"):
        network = built(name, "published", scale, skip=skip, **SMALL.get(name, {})).eval()
        output = network(lr)
        assert output.sr.shape == (2, 3, 13 * scale, 10 * scale)
        assert output.sr.dtype == torch.float32
        assert (output.wt, output.reference, output.blocks) == (None, None, ())
        if skip == "bicubic":  # and untrained
            assert torch.equal(output.sr, bicubic(lr, scale))


@torch.no_grad()
def test_bicubic_is_the_package_s_own_kernel() -> None:
    lr = torch.rand(1, 3, 9, 7)
    assert torch.equal(built("bicubic", "published", 4)(lr).sr, bicubic(lr, 4))


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("skip", ["none", "bicubic"])
def test_steps_on_one_batch_lower_the_loss(name: str, skip: str) -> None:
    network = built(name, "published", 2, skip=skip, **SMALL[name]).train()
    truth = torch.from_numpy(tiles(0)).permute(2, 0, 1)[None].float() / 255
    lr = bicubic(truth, 0.5)
    slow = name == "srcnn"  # its wide kernels bear no larger steps
    optimiser = torch.optim.Adam(network.parameters(), 3e-4 if slow else 3e-3)
    losses = []
    learnt: set[str] = set()
    for _ in range(40):
        loss = (network(lr).sr - truth).abs().mean()
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        learnt |= {n for n, p in network.named_parameters() if p.grad is not None and p.grad.any()}
        optimiser.step()
    assert losses[-1] < (0.96 if slow else 0.9) * losses[0]
    assert learnt == {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize("name", [*TRAINED, "bicubic"])
@pytest.mark.parametrize("scale", [2, 8])
def test_no_pixel_beyond_the_receptive_radius_matters(name: str, scale: int) -> None:
    skip = {"skip": "bicubic"}
    network = built(name, "published", scale, **SMALL.get(name, {}), **skip).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3)
    radius = network.config.receptive_radius()
    side = 2 * radius + 9
    side += side % 2 == 0
    lr = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    middle = side // 2 * scale
    if name == "rcan":  # its pooling reaches everywhere: weights of one in its place
        for module in network.modules():
            if hasattr(module, "up") and hasattr(module, "down"):
                torch.nn.init.zeros_(module.up.weight)
    network(lr).sr[0, :, middle : middle + scale, middle : middle + scale].sum().backward()
    rows = lr.grad.abs().sum((0, 1, 3)).nonzero()
    reach = int((rows - side // 2).abs().max())
    assert 0 < reach <= radius
    assert reach > radius / 3  # an upper bound, but not an idle one


def test_a_reference_or_a_wrong_shape_is_refused() -> None:
    network = built("edsr", "matched", 2)
    assert isinstance(network, Baseline)
    with pytest.raises(ValueError, match="edsr takes no reference"):
        network(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 16, 16))
    with pytest.raises(ValueError, match=r"LR must be \(N, 3, h, w\), got \(3, 8, 8\)"):
        network(torch.rand(3, 8, 8))


@torch.no_grad()
@pytest.mark.parametrize("name", TRAINED)
def test_weights_of_half_precision_keep_the_skip(name: str) -> None:
    network = built(name, "published", 2, skip="bicubic", **SMALL[name]).eval()
    for parameter in network.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.02)
    lr = torch.rand(1, 3, 16, 16)
    exact = network(lr).sr
    half = network.to(torch.bfloat16)(lr).sr
    assert half.dtype == torch.float32
    assert not torch.equal(half, exact)
    assert float((half - exact).abs().max()) < 0.02


def test_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="preset 'lite' is unknown; choose one of published, matc"):
        find_architecture("rcan").preset("lite", 2)
