"""``check``: what a model is worth on a slide's own levels, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Run
from cli.test_refusals import refused
from napari_cwtnet.enhancement.check import check
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import load_model
from napari_cwtnet.slides import open_slide

REGIONS = ("--region", "0,0,256,200", "--region", "300,100,256,256")


def test_the_report_has_the_figures_that_python_gives(
    run: Run, slide_file: Path, models: Path
) -> None:
    words = ("check", slide_file, "--model", "small-x4", *REGIONS, "--device", "cpu", "--json")
    done = run(*words)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    with open_slide(slide_file) as slide:
        regions = [Region(0, 0, 256, 200), Region(300, 100, 256, 256)]
        model = load_model(models / "small-x4.safetensors")
        found = check(slide, model, regions, device="cpu")
    assert said["model"] == "small-x4"
    for name in ("psnr", "ssim", "psnr_bicubic", "ssim_bicubic", "psnr_reference_bicubic"):
        assert said[name] == pytest.approx(found.quality.as_dict()[name]), name
        means = [one[name] for one in said["regions"]]
        assert said[name] == pytest.approx(sum(means) / 2), name
    assert said["psnr"] > said["psnr_bicubic"]  # with a reference, and untrained
    assert said["psnr"] == pytest.approx(said["psnr_reference_bicubic"], abs=1)
    assert (said["mode"], said["scale"], said["downsample"]) == ("cross-scale", 4, 4)
    assert said["mpp"] == 0.25
    assert said["made_by"] == "stored level"
    assert said["degradation"] == found.degradation.as_dict()
    assert said["degradation"]["compression"] == "none"
    assert said["told"] is False
    assert [one["region"] for one in said["regions"]] == [[0, 0, 256, 200], [300, 100, 256, 256]]


def test_the_report_for_people(run: Run, slide_file: Path) -> None:
    done = run("check", slide_file, "--model", "small-x2", "--downsample", 4, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["mode"] == "single-image"
    assert lines["downsample"] == "4"
    assert lines["mpp"] == "0.5"
    assert float(lines["psnr"]) == pytest.approx(float(lines["psnr_bicubic"]), abs=1)
    assert "lossless" in lines["degradation"]
    assert lines["regions"] == "1"
    assert " ".join(lines["model"].split()) in {"small-x2", "knows the pixels alone"}
    assert "the pixels alone" in done.stdout
    assert not {"told", "made_by"} & lines.keys()
    assert "psnr_reference_bicubic" not in lines


def test_sharpness_is_of_levels_that_the_slide_lacks(run: Run, tmp_path: Path) -> None:
    from enhancement.test_check import tissue, write_pyramid

    slide = write_pyramid(tmp_path / "single.tif", [tissue(256, 256)], 80)
    words = ("check", slide, "--model", "small-x2", "--device", "cpu", "--json")
    told = [json.loads(run(*words, *more).stdout) for more in ((), ("--sharpness", "softest"))]
    assert [one["made_by"] for one in told] == ["assumed", "assumed"]
    assert [one["degradation"]["kernel"] for one in told] == ["box", "gauss1.2"]
    assert [one["degradation"]["quality"] for one in told] == [80, 80]
    assert told[1]["psnr_bicubic"] < told[0]["psnr_bicubic"] - 0.5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--downsample", 1), ("Downsample 1", "cannot be checked at ×2", "at least 2")),
        (("--downsample", "nan"), ("Downsample nan", "at least 2")),
        (("--region", "900,0,100,100"), ("Region 900,0,100,100", "731 × 517", "inside")),
        (("--region", "0,0,100"), ("'0,0,100'", "X,Y,WIDTH,HEIGHT")),
        (("--region", "0.5,0,1,1"), ("no whole pixel", "larger")),
        (("--model", "best"), ("Model 'best'", "small-x2")),
        (("--sharpness", "crisp"), ("crisp", "softest")),
        (("--downsample", 0), ("Downsample 0", "at least 2")),
        (("--device", "tpu"), ("Device 'tpu'", "cpu")),
    ],
)
def test_bad_values(run: Run, slide_file: Path, words, said) -> None:
    refused(run("check", slide_file, "--model", "small-x2", *words), *said)


def test_a_computed_slide_holds_no_truth(run: Run, slide_file: Path, tmp_path: Path) -> None:
    computed = tmp_path / "computed.ome.tif"
    words = ("--region", "0,0,200,200", "--model", "small-x2", "--device", "cpu")
    assert run("enhance", slide_file, *words, "--output", computed).returncode == 0
    refused(run("check", computed, "--model", "small-x2"), "itself computed", "that it was made of")
