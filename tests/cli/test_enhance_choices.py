"""``enhance`` in a chosen precision, on a given grid, with or without background."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from enhancement.conftest import make_model, pattern_slide  # noqa: F401 - fixtures
from PIL import Image

from cli.conftest import Run
from napari_cwtnet.cli import main
from napari_cwtnet.enhancement import enhance
from napari_cwtnet.slides import Slide


def test_choices_reach_the_pixels_and_the_provenance(
    pattern_slide: Slide,  # noqa: F811
    make_model: Any,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, output = make_model(2, seed=7), tmp_path / "out.png"
    words = ["enhance", str(pattern_slide.path), "--region", "40,30,300,200", "--downsample", "2"]
    words += ["--model", str(model.path), "--device", "cpu", "--output", str(output), "--json"]
    choices = ["--dtype", "bfloat16", "--grid", "3,5,48,44", "--no-skip-background"]
    assert main(words + choices) == 0
    direct = enhance(
        pattern_slide, (40, 30, 300, 200), 2, model=model, device="cpu",
        dtype="bfloat16", grid=(3, 5, 48, 44), skip_background=False,
    )  # fmt: skip
    assert json.loads(capsys.readouterr().out)["tiles"] == len(direct.plan.tiles)
    with Image.open(output) as image:
        assert np.array_equal(np.asarray(image), direct.image)
        known = json.loads(image.text["Comment"])
    assert known["dtype"] == "bfloat16"
    assert known["grid"] == [3, 5, 48, 44]
    assert known["skip_background"] is False


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("--grid 1,2,3", "is not four whole numbers"),
        ("--grid 0,0,500,500", "takes steps from 8 to 52 LR pixels"),
        ("--grid 0,0,47,48", "steps even"),
        ("--dtype float64", "'float64' is unknown; choose one of auto, float32"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    pattern_slide: Slide,  # noqa: F811
    make_model: Any,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    choice: str,
    message: str,
) -> None:
    words = f"enhance {pattern_slide.path} --region 40,30,300,200 --model {make_model(2).path}"
    output = tmp_path / "out.png"
    assert main([*words.split(), "--output", str(output), *choice.split()]) != 0
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_lr_that_no_scanner_makes_is_named(run: Run, slide_file: Path, tmp_path: Path) -> None:
    words = ["enhance", slide_file, "--region", "0,0,480,480"]
    words += [
        "--model",
        "cwtnet-lite-x2",
        "--json",
        "--output",
        tmp_path / "out.png",
        "--downsample",
    ]
    made, finest = (json.loads(run(*words, downsample).stdout) for downsample in (8, 1))
    assert made["lr"].startswith("made here from finer pixels, bicubic and without compression")
    assert "lr" not in finest


def test_a_model_that_is_not_for_use_says_so(run: Run, slide_file: Path, tmp_path: Path) -> None:
    words = ["enhance", slide_file, "--region", "0,0,48,48", "--model", "cwtnet-research-x4"]
    done = run(*words, "--output", tmp_path / "out.png", "--json")
    warning = json.loads(done.stdout)["warning"]
    assert warning == "cwtnet-research-x4 is for looking inside, not for use"
    record = json.loads((tmp_path / "out.png.json").read_text())
    assert record["model_purpose"] == "for looking inside, not for use"
