"""Every command that reads slides takes ``--image`` of a file that holds several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from slides.test_pyramids import picture

from cli.test_dataset import places
from napari_cwtnet import open_slide
from napari_cwtnet.cli import main
from napari_cwtnet.model import CwtNet, preset, save_weights

TILED: dict[str, Any] = {
    "tile": (128, 128), "photometric": "rgb", "metadata": None,
    "resolution": (20000, 20000), "resolutionunit": "CENTIMETER",
}  # fmt: skip
LARGE, SMALL = picture(700, 500), picture(420, 330)[::-1]


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A larger image, which is shown, and a smaller one."""
    path = tmp_path / "both.tif"
    with tifffile.TiffWriter(path) as writer:
        for image in (LARGE, SMALL):
            writer.write(image, **TILED)
    return path


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """The smaller one as a file of its own."""
    path = tmp_path / "alone.tif"
    tifffile.imwrite(path, np.ascontiguousarray(SMALL), **TILED)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "plain-x2.safetensors"
    save_weights(path, CwtNet(preset("lite", 2, blocks=1, channels=8)), {})
    return path


def say(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main([*map(str, words), "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


@pytest.mark.parametrize("more", [("--block", 1024), ("--resume",), ()])
def test_a_whole_slide(
    both: Path, alone: Path, model: Path, tmp_path: Path, capsys, more: tuple[object, ...]
) -> None:
    words = ("--region", "all", "--model", model, *more, "--output")
    say(capsys, "enhance", both, "--image", 1, *words, tmp_path / "of-both.ome.zarr")
    say(capsys, "enhance", alone, *words, tmp_path / "of-alone.ome.zarr")
    with (
        open_slide(tmp_path / "of-both.ome.zarr") as one,
        open_slide(tmp_path / "of-alone.ome.zarr") as other,
    ):
        assert one.size == (840, 660)
        assert np.array_equal(one.read(one.bounds, 1), other.read(other.bounds, 1))


def test_another_image_does_not_go_on_with_a_run(
    both: Path, model: Path, tmp_path: Path, capsys
) -> None:
    words = ("--region", "all", "--model", model, "--output", tmp_path / "a.ome.zarr", "--resume")
    say(capsys, "enhance", both, "--image", 1, *words)
    assert main(["enhance", str(both), *map(str, words)]) == 2
    assert "slide_fingerprint" in capsys.readouterr().err


@pytest.mark.parametrize("mpp", [1.0, 0.25])
def test_resample(both: Path, alone: Path, model: Path, tmp_path: Path, capsys, mpp: float) -> None:
    words: tuple[object, ...] = ("--mpp", mpp, "--output")
    if mpp < 0.5:
        words = ("--model", model, *words)
    say(capsys, "resample", both, "--image", 1, *words, tmp_path / "of-both.ome.tif")
    say(capsys, "resample", alone, *words, tmp_path / "of-alone.ome.tif")
    one, other = (tifffile.imread(tmp_path / f"of-{name}.ome.tif") for name in ("both", "alone"))
    assert np.array_equal(one, other)


def test_what_measures_and_shows(
    both: Path, alone: Path, model: Path, tmp_path: Path, capsys
) -> None:
    assert say(capsys, "info", both, "--image", 1)["size"] == [420, 330]
    words = ("--model", model, "--region", "20,30,128,128", "--downsample", 2)
    of_both = say(capsys, "check", both, "--image", 1, *words)
    assert of_both["psnr"] == say(capsys, "check", alone, *words)["psnr"]
    said = say(capsys, "inspect", both, "--image", 1, *words, "--output", tmp_path / "maps")
    with open_slide(both, image=1) as slide:
        assert said["slide_fingerprint"] == slide.fingerprint


def test_a_dataset(tmp_path: Path, capsys) -> None:
    path, two = tmp_path / "large.tif", places(2)
    with tifffile.TiffWriter(path) as writer:
        for image in (places(3, seed=1), two):
            writer.write(image, **TILED)
    words = ("--levels", "20,10", "--count", 1, "--allow-computed", "--output", tmp_path / "set")
    say(capsys, "dataset", "build", path, "--image", 1, *words)
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text("utf-8"))
    with open_slide(path, image=1) as slide:
        wanted = slide.fingerprint
    assert [one["fingerprint"] for one in manifest["slides"]] == [wanted]


def test_fine_tuning(both: Path, model: Path, tmp_path: Path, capsys) -> None:
    config, run = tmp_path / "config.yaml", tmp_path / "run"
    config.write_text("steps: 1\npatch: 16\nbatch: 1\n", encoding="utf-8")
    words = ("--model", model, "--config", config, "--output", run)
    say(capsys, "finetune", both, "--image", 1, *words)
    recipe = (run / "recipe.yaml").read_text("utf-8")
    assert "image: 1" in recipe
    with open_slide(both, image=1) as slide:
        assert slide.fingerprint in recipe
    say(capsys, "finetune", "--resume", "--output", run)


def test_an_image_of_no_slide_named_here_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "tuning.yaml"
    config.write_text("slides: [{path: slide.tif}]\n", encoding="utf-8")
    words = ["finetune", "--config", str(config), "--model", "cwtnet-lite-x2"]
    assert main([*words, "--output", str(tmp_path / "run"), "--image", "7"]) == 2
    assert "--image 7 needs slides on the command line" in capsys.readouterr().err
