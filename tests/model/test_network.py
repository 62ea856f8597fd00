"""The whole network: shapes, sizes, parameter counts, and what each switch does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from napari_cwtnet.model import CwtNet, NetworkConfig, preset
from napari_cwtnet.model.blocks import bicubic
from napari_cwtnet.model.wavelet import sub_bands


def tiny(scale: int = 2, **changes: Any) -> NetworkConfig:
    smallest = {"blocks": 2, "channels": 8, "sr_residual_blocks": 1, "wr_blocks": 1}
    return NetworkConfig(**({"scale": scale, "wt_residual_blocks": 1} | smallest | changes))


def build(config: NetworkConfig, seed: int = 0) -> CwtNet:
    torch.manual_seed(seed)
    return CwtNet(config).eval()


def pair(height: int = 10, width: int = 12, n: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    reference = torch.rand(n, 3, 2 * height, 2 * width, generator=generator)
    return bicubic(reference, 0.5), reference


@torch.no_grad()
@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("with_reference", [True, False])
@pytest.mark.parametrize("size", [(6, 8), (5, 7)])
def test_shapes(scale: int, with_reference: bool, size: tuple[int, int]) -> None:
    h, w = size
    lr, reference = pair(h, w, n=2)
    output = build(tiny(scale))(lr, reference if with_reference else None, record=True)
    assert output.sr.shape == (2, 3, scale * h, scale * w)
    assert output.wt is not None
    assert output.wt.shape == (2, 3, h, w)
    assert output.reference is not None
    assert output.reference.shape == (2, 3, 2 * h, 2 * w)
    assert (output.reference is reference) == with_reference
    assert len(output.blocks) == 2
    for block in output.blocks:
        assert block.query.shape == block.key.shape == (2, 8, h, w)
        assert block.relevance.shape == (2, 1, h, w)
        assert block.relevance.abs().max() <= 1 + 1e-5
        assert block.index.shape == (2, h, w)
        assert 0 <= int(block.index.min()) <= int(block.index.max()) < h * w


@torch.no_grad()
def test_nothing_is_recorded_unless_asked_for() -> None:
    assert build(tiny())(pair()[0]).blocks == ()


@pytest.mark.parametrize(
    "shape", [(1, 3, 12, 10), (1, 3, 11, 12), (1, 3, 12, 24), (2, 3, 12, 12), (1, 1, 12, 12)]
)
def test_wrong_reference_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"twice the size of LR, \(1, 3, 12, 12\), got"):
        build(tiny())(torch.zeros(1, 3, 6, 6), torch.zeros(shape))


@pytest.mark.parametrize("shape", [(3, 6, 6), (1, 1, 6, 6), (1, 4, 6, 6), (1, 3, 0, 6)])
def test_wrong_lr_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"LR must be \(N, 3, h, w\), got"):
        build(tiny())(torch.zeros(shape))


@torch.no_grad()
def test_odd_lr_is_refused_only_where_v_is_halved() -> None:
    lr = torch.zeros(1, 3, 6, 5)
    with pytest.raises(ValueError, match=r"'down_up' needs even LR sizes, got \(6, 5\)"):
        build(tiny(value="down_up"))(lr)
    assert build(tiny(value="up_down"))(lr).sr.shape == (1, 3, 12, 10)


MILLIONS = [
    ("paper", 2, {2: 1.344, 4: 2.083, 8: 3.560, 12: 5.036, 24: 9.467}),
    ("paper", 4, {2: 2.087, 4: 3.121, 8: 5.189, 12: 7.256, 24: 13.460}),
    ("paper-octave", 4, {2: 1.790, 4: 2.676, 8: 4.448, 12: 6.220, 24: 11.537}),
    ("paper", 8, {2: 3.425, 4: 5.050, 8: 8.299, 12: 11.549, 24: 21.297}),
    ("paper-octave", 8, {2: 2.235, 4: 3.269, 8: 5.336, 12: 7.404, 24: 13.607}),
]


@pytest.mark.parametrize(("name", "scale", "counts"), MILLIONS)
def test_parameter_count(name: str, scale: int, counts: dict[int, float]) -> None:
    for blocks, millions in counts.items():
        with torch.device("meta"):
            network = CwtNet(preset(name, scale, blocks=blocks))
        assert round(network.parameter_count() / 1e6, 3) == millions


@pytest.mark.parametrize(
    ("name", "scale", "wt", "wr"),
    [
        ("paper", 2, 1.773, 0.451),
        ("paper", 4, 3.545, 0.751),
        ("paper-octave", 4, 2.659, 0.601),
        ("paper", 8, 7.090, 1.350),
        ("paper-octave", 8, 3.545, 0.751),
    ],
)
def test_parameter_count_of_parts(name: str, scale: int, wt: float, wr: float) -> None:
    with torch.device("meta"):
        network = CwtNet(preset(name, scale))
    counts = dict.fromkeys(("sr", "wt", "fuse", "wr"), 0)
    for parameter, value in network.named_parameters():
        for part in counts:
            if f".{part}." in f".{parameter}":
                counts[part] += value.numel()
    millions = {part: round(count / 1e6, 3) for part, count in counts.items()}
    assert millions == {"sr": 1.773, "wt": wt, "fuse": 0.886, "wr": wr}


@torch.no_grad()
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_untrained_network_with_skip_is_the_bicubic_enlargement(scale: int) -> None:
    lr, reference = pair()
    finest = build(tiny(scale, skip="finest"))
    assert torch.equal(finest(lr).sr, bicubic(lr, scale))
    assert torch.equal(finest(lr, reference).sr, bicubic(reference, scale / 2))
    assert torch.equal(build(tiny(scale, skip="lr"))(lr, reference).sr, bicubic(lr, scale))
    source = build(tiny(scale, skip="source"))
    assert torch.equal(source(lr).sr, bicubic(bicubic(lr, 2), scale / 2))
    assert torch.equal(source(lr, reference).sr, bicubic(reference, scale / 2))


@torch.no_grad()
def test_source_skip_adds_what_wr_makes_of_lr() -> None:
    lr, reference = pair()
    network = build(tiny(2, skip="source"))
    nn.init.normal_(network.wr.tail.weight, std=0.1)
    made = network(lr)
    assert torch.equal(made.sr, made.reference)
    assert (made.sr - bicubic(lr, 2)).abs().max() > 1e-3
    assert torch.equal(network(lr, reference).sr, reference)
    without = build(tiny(2, skip="source", wt_branch=False))
    assert torch.equal(without(lr, reference).sr, bicubic(lr, 2))


@torch.no_grad()
def test_an_empty_tail_leaves_the_mean() -> None:
    network = build(tiny(mean=(0.1, 0.2, 0.3)))
    for parameter in network.tail[-1].parameters():
        parameter.zero_()
    assert torch.equal(
        network(pair()[0]).sr, torch.tensor((0.1, 0.2, 0.3)).view(1, 3, 1, 1).expand(1, 3, 20, 24)
    )


@torch.no_grad()
def test_mean_is_taken_off_first_and_added_last() -> None:
    """Moving image and mean alike moves the result alike, border included."""
    lr = pair()[0]
    shift = torch.tensor((0.2, -0.1, 0.3)).view(1, 3, 1, 1)
    first = build(tiny(wt_branch=False, mean=(0.5, 0.5, 0.5)))
    second = build(tiny(wt_branch=False, mean=(0.7, 0.4, 0.8)))
    torch.testing.assert_close(second(lr + shift).sr, first(lr).sr + shift)


@torch.no_grad()
def test_long_skip_is_eq_3() -> None:
    lr = pair()[0]
    network = build(tiny(wt_branch=False))
    mean = torch.tensor(network.config.mean).view(1, 3, 1, 1)
    first = network.head(lr - mean)
    last = network.blocks[1].sr(network.blocks[0].sr(first))
    torch.testing.assert_close(network(lr).sr, network.tail(first + last) + mean)


@torch.no_grad()
def test_sr_branch_alone_ignores_the_reference() -> None:
    lr, reference = pair()
    network = build(tiny(wt_branch=False))
    output = network(lr, reference, record=True)
    assert torch.equal(output.sr, network(lr).sr)
    assert (output.wt, output.reference, output.blocks) == (None, None, ())
    assert not any(name.split(".")[0].startswith("w") for name in network.state_dict())


@torch.no_grad()
@pytest.mark.parametrize("bands", [("HH",), ("LH", "HL", "HH"), ("LL",)])
def test_wt_target_is_the_kept_bands(bands: tuple[str, ...]) -> None:
    network = build(tiny(bands=bands))
    lr, reference = pair()
    target = network.wt_target(reference)
    assert torch.equal(target, sub_bands(reference, network.config.bands))
    output = network(lr, reference)
    assert output.wt is not None
    assert output.wt.shape == target.shape == (1, 3 * len(bands), 10, 12)


@torch.no_grad()
def test_wt_front_average_takes_2_by_2_means() -> None:
    network = build(tiny(wt_front="average", bands=("LH", "HL", "HH")))
    reference = torch.arange(16.0).view(1, 1, 4, 4).expand(1, 3, 4, 4)
    assert network.wt_target(reference)[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert network.wt_head.in_channels == 3


@torch.no_grad()
def test_stand_in_for_a_missing_reference() -> None:
    lr, reference = pair()
    assert torch.equal(build(tiny(wt_source="lr_up"))(lr).reference, bicubic(lr, 2))
    network = build(tiny())
    assert torch.equal(network(lr).reference, network.wr(lr))
    assert not hasattr(build(tiny(wt_source="lr_up")), "wr")
    filtered = build(tiny(reference_filter="down_up"))(lr, reference).reference
    assert torch.equal(filtered, bicubic(bicubic(reference, 0.5), 2))


# with what to change -> network that is otherwise the same gives something else
SWITCHES: list[dict[str, Any]] = [
    {"wt_branch": False},
    {"wt_front": "average"},
    {"bands": ("LH",)},
    {"reference_filter": "down_up"},
    {"search": "full"},
    {"search": "aligned"},
    {"window_radius": 1},
    {"position_bias": 0.5},
    {"value": "up_down"},
    {"value": "down_up"},
    {"patch_normalisation": "count"},
    {"double_residual": True},
    {"skip": "lr"},
    {"skip": "finest"},
    {"skip": "source"},
    {"lr_gain": 4.0},
    {"band_gain": 16.0},
    {"mean": (0.1, 0.2, 0.3)},
]


@torch.no_grad()
@pytest.mark.parametrize("change", SWITCHES, ids=str)
def test_switch_changes_the_result(change: dict[str, Any]) -> None:
    base = tiny(search="window", window_radius=3)
    lr, reference = pair()
    plain = build(base)
    changed = CwtNet(base.model_copy(update=change)).eval()
    changed.load_state_dict(plain.state_dict(), strict="wt_branch" not in change)
    difference = (changed(lr, reference).sr - plain(lr, reference).sr).abs().max()
    assert difference > 1e-5


@torch.no_grad()
def test_wt_source_changes_the_result_without_a_reference() -> None:
    lr = pair()[0]
    with_wr, without = build(tiny()), CwtNet(tiny(wt_source="lr_up")).eval()
    without.load_state_dict(with_wr.state_dict(), strict=False)
    assert (with_wr(lr).sr - without(lr).sr).abs().max() > 1e-5


@torch.no_grad()
def test_reference_reaches_the_result() -> None:
    lr, reference = pair()
    network = build(tiny(search="aligned", bands=("LH", "HL", "HH")))
    base = network(lr, reference).sr
    assert (base - network(lr).sr).abs().max() > 1e-5
    changed = reference.clone()
    changed[..., 4, 4] += 0.5
    moved = (network(lr, changed).sr - base).abs().sum(1)[0]
    assert moved.max() > 1e-4
    assert moved[:12, :12].sum() > 0.8 * moved.sum()


@pytest.mark.parametrize("with_reference", [True, False])
def test_every_part_that_a_batch_uses_gets_a_gradient(with_reference: bool) -> None:
    lr, reference = pair()
    network = build(tiny())
    output = network(lr, reference if with_reference else None)
    assert output.wt is not None
    (output.sr.square().mean() + output.wt.square().mean()).backward()
    unused = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is None}
    assert unused == ({"wr"} if with_reference else set())


@torch.no_grad()
@pytest.mark.parametrize("value", ["same", "up_down"])
def test_bfloat16_stays_near_float32(value: str) -> None:
    lr, reference = pair()
    network = build(tiny(search="aligned", value=value))
    exact = network(lr, reference).sr
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(lr, reference).sr
    assert (rough.float() - exact).abs().max() < 0.02


@torch.no_grad()
@pytest.mark.parametrize("with_reference", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_leave_the_skip_whole(
    dtype: torch.dtype, with_reference: bool
) -> None:
    lr, reference = pair()
    given = reference if with_reference else None
    network = CwtNet(tiny(2, skip="finest")).eval()
    whole = network(lr, given).sr
    assert torch.equal(network.to(dtype)(lr, given).sr, whole)  # untrained: the skip alone
    network = build(tiny(2, mean=(0.1, 0.7, 0.3)))
    whole = network(lr, given)
    half = network.to(dtype)(lr, given)
    for name in ("sr", "wt", "reference"):
        assert getattr(half, name).dtype == torch.float32
        difference = (getattr(half, name) - getattr(whole, name)).abs()
        assert 0 < difference.max() < 0.05 or (name == "reference" and with_reference)


def test_the_predicted_error_leaves_sr_as_it_is() -> None:
    config = preset("lite-2", 4, blocks=1, channels=8, error_channels=4)
    network, lr = CwtNet(config).eval(), torch.rand(2, 3, 12, 10)
    for last in (network.error_head.last, network.tail.last):  # else SR is bicubic in any case
        torch.nn.init.normal_(last.weight)
    with torch.no_grad():
        plain, asked = network(lr), network(lr, error=True)
    assert plain.error is None
    assert asked.error is not None
    assert asked.error.shape == (2, 1, 12, 10)
    assert 0 < float(asked.error.min()) < float(asked.error.max()) <= 1
    assert torch.equal(plain.sr, asked.sr)


def test_a_network_without_a_head_predicts_no_error() -> None:
    network = CwtNet(preset("lite-2", 2, blocks=1, channels=8))
    assert not network.predicts_error
    assert network(torch.rand(1, 3, 8, 8), error=True).error is None


def test_half_precision_predicts_in_float32() -> None:
    network = CwtNet(preset("lite-2", 2, blocks=1, channels=8, error_channels=4))
    error = network.to(torch.bfloat16)(torch.rand(1, 3, 8, 8), error=True).error
    assert error is not None
    assert error.dtype == torch.float32
    assert float(error.detach().mean()) * 255 == pytest.approx(2, rel=0.02)
