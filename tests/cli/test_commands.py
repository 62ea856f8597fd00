"""What others script against: names, types and values of the reports."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from export.whole_help import write_model
from PIL import Image
from slides.pattern import pattern, write_tiff

from cli.conftest import Run
from napari_cwtnet import enhance, load_model, open_slide
from napari_cwtnet.export import Roi, write_rois
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import CwtNet, preset, save_weights

_BEYOND = "no, finer than the slide"


def test_info(run: Run, slide_file: Path) -> None:
    done = run("info", slide_file, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["path"] == str(slide_file)
    assert said["format"] == "ome-tiff"
    assert said["size"] == [731, 517]
    assert said["mpp"] == 0.25
    assert said["magnification"] == 40
    assert [level["downsample"] for level in said["levels"]] == [1, 2, 4]
    assert said["levels"][2]["size"] == [182, 129]
    assert said["levels"][2]["degradation"]["compression"] == "none"
    assert said["levels"][0]["degradation"]["kernel"] is None
    modes = {(e["model"], e["downsample"]): e["mode"] for e in said["enhance"]}
    assert modes["small-x4", 4.0] == "cross-scale"
    assert modes["small-x4", 1.0] == "single-image"
    assert modes["small-x2", 4.0] == "single-image"
    checkable = {(e["model"], e["downsample"]) for e in said["enhance"] if e["checkable"]}
    assert {d for name, d in checkable if name == "small-x2"} == {2, 4, 8}
    assert {d for name, d in checkable if name == "small-x4"} == {4, 8}


def test_info_for_people_has_the_same_facts(run: Run, slide_file: Path) -> None:
    said = run("info", slide_file, "--mpp", "0.5").stdout
    assert "731 × 517" in said
    assert "set by user" in said
    lines = [re.split(r"  +", line.strip()) for line in said.splitlines()]
    heads = lines.index(["enhance"]) + 1
    assert lines[heads] == ["model", "downsample", "reads", "writes", "mode", "can be checked"]
    first = next(number for number, line in enumerate(lines) if line[0] == "small-x2")
    assert lines[first : first + 5] == [
        ["small-x2", "1", "0.500 µm/px (20×)", "0.250 µm/px (40×)", "single-image", _BEYOND],
        ["2", "1.000 µm/px (10×)", "0.500 µm/px (20×)", "single-image", "yes"],
        ["small-x4", "1", "0.500 µm/px (20×)", "0.125 µm/px (80×)", "single-image", _BEYOND],
        ["2", "1.000 µm/px (10×)", "0.250 µm/px (40×)", "cross-scale", _BEYOND],
        ["4", "2.000 µm/px (5×)", "0.500 µm/px (20×)", "cross-scale", "yes"],
    ]
    assert [line[0].partition(":")[0] for line in lines[-2:]] == ["yes", "finer than the slide"]


def test_info_says_what_the_pixels_went_through(run: Run, tmp_path: Path) -> None:
    path = write_tiff(
        tmp_path / "a.tif", compression="jpeg", compressionargs={"level": 75}, subsampling=(2, 2)
    )
    found = json.loads(run("info", path, "--json").stdout)["levels"][1]["degradation"]
    assert (found["quality"], found["subsampling"]) == (75, "420")
    assert found["compression_source"] == "read"
    lines = [line.split(maxsplit=4) for line in run("info", path).stdout.splitlines()]
    (first,) = [line for line in lines if line[:4] == ["1", "731", "×", "517"]]
    assert first[4] == "JPEG 75, 4:2:0"


def test_info_of_a_computed_slide_promises_no_check(
    run: Run, slide_file: Path, tmp_path: Path
) -> None:
    computed = tmp_path / "computed.ome.tif"
    words = ("--region", "0,0,200,200", "--model", "small-x2", "--device", "cpu")
    assert run("enhance", slide_file, *words, "--output", computed).returncode == 0
    said = run("info", computed).stdout
    assert said.count("  no, a computed slide\n") >= 5
    assert "yes" not in said
    assert "finer than the slide" not in said.partition("enhance\n")[2]


def test_info_without_models_says_so(
    run: Run, slide_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_cwtnet.cli.info.list_models", dict)
    assert "there is no model" in run("info", slide_file).stdout


def test_enhance_writes_the_pixels_that_python_gives(
    run: Run, slide_file: Path, models: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.png"
    done = run(
        "enhance", slide_file, "--region", "100,60,240,200", "--downsample", 4,
        "--model", "small-x4", "--output", output, "--device", "cpu", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["mode"] == "cross-scale"
    assert said["output_size"] == [240, 200]
    assert said["mpp"] == 0.25
    assert said["downsample"] == 1
    assert said["beyond_native"] is False
    assert said["tiles"] >= 1
    assert said["seconds"] > 0
    assert said["psnr"] > said["psnr_bicubic"]
    assert 0 < said["ssim"] <= 1
    with open_slide(slide_file) as slide:
        result = enhance(
            slide, (100, 60, 240, 200), 4,
            model=load_model(models / "small-x4.safetensors"), device="cpu",
        )  # fmt: skip
    with Image.open(output) as picture:
        assert np.array_equal(np.asarray(picture), result.image)
        assert json.loads(picture.text["Comment"])["computed"] is True
        assert picture.text["Title"].startswith("COMPUTED · 40× from 10×")


def test_enhance_writes_the_same_pixels_in_every_format(
    run: Run, slide_file: Path, models: Path, tmp_path: Path
) -> None:
    words = ("enhance", slide_file, "--model", "small-x2", "--device", "cpu")
    region = ("--region", "100,60,120,100")
    roi = tmp_path / "rois.geojson"
    corners = ((100.0, 60.0), (220.0, 100.0), (160.0, 160.0))
    write_rois(roi, [Roi(((0.0, 0.0), (9.0, 0.0), (9.0, 9.0))), Roi(corners, "field 1")])
    assert run(*words, *region, "--output", tmp_path / "a.png").returncode == 0
    assert run(*words, *region, "--output", tmp_path / "a.ome.tif").returncode == 0
    where = ("--roi", roi, "--roi-name", "field 1")
    assert run(*words, *where, "--output", tmp_path / "a.ome.zarr").returncode == 0
    marked = run(*words, *region, "--output", tmp_path / "b.png", "--badge")
    assert marked.returncode == 0, marked.stderr
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (200, 240, 3)
    assert np.array_equal(tifffile.imread(tmp_path / "a.ome.tif"), pixels)
    group = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    assert np.array_equal(np.moveaxis(group["0"][:], 0, 2), pixels)
    with Image.open(tmp_path / "b.png") as picture:
        assert not np.array_equal(np.asarray(picture), pixels)
    for name in ("a.png", "a.ome.tif", "a.ome.zarr"):
        record = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
        assert record["region"] == [100, 60, 120, 100]
        assert record["output_size"] == [240, 200]
        assert record["model_sha256"] == load_model(models / "small-x2.safetensors").sha256


def test_enhance_beyond_native_has_no_figures(run: Run, slide_file: Path, tmp_path: Path) -> None:
    done = run(
        "enhance", slide_file, "--region", "101.5,60.25,120,100", "--model", "small-x2",
        "--output", tmp_path / "out.ome.tif", "--json",
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert said["mode"] == "single-image"
    assert said["beyond_native"] is True
    assert said["downsample"] == 0.5
    assert said["mpp"] == 0.125
    assert said["output_size"] == [240, 200]
    assert said["psnr"] is said["ssim"] is said["psnr_bicubic"] is said["ssim_bicubic"] is None
    with open_slide(tmp_path / "out.ome.tif") as written:
        assert written.mpp == pytest.approx(0.125)
        assert written.size == (240, 200)
        expected = pattern(Region(101.5, 60.25, 120, 100), 0.5)
        image = written.read(written.bounds, 1)
        assert np.abs(image[8:-8, 8:-8] - expected[8:-8, 8:-8]).mean() < 1
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as tiff:
        assert "COMPUTED · 80× from 40×" in (tiff.ome_metadata or "")
        assert "Research Use Only" in (tiff.ome_metadata or "")


def test_the_oracle_is_named(run: Run, slide_file: Path, tmp_path: Path) -> None:
    done = run(
        "enhance", slide_file, "--region", "0,0,200,200", "--downsample", 2, "--model", "small-x2",
        "--reference", "next", "--output", tmp_path / "o.png", "--json",
    )  # fmt: skip
    assert json.loads(done.stdout)["mode"] == "oracle"


@pytest.mark.parametrize("reference", ["none", "next"])
def test_evaluate(run: Run, tmp_path: Path, reference: str) -> None:
    for number in range(2):
        image = pattern(Region(number * 91.0, 40, 160, 120), 1.0)
        Image.fromarray(np.rint(image).astype(np.uint8)).save(tmp_path / f"{number}.png")
    words = ("evaluate", "--images", tmp_path, "--model", "small-x4", "--json")
    done = run(*words, "--reference", reference)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["images"] == 2
    assert said["mode"] == ("cross-scale" if reference == "next" else "single-image")
    per_image = [figures["psnr"] for figures in said["per_image"]]
    assert said["psnr"] == pytest.approx(np.mean(per_image))
    assert said["psnr_bicubic"] > 30
    if reference == "next":
        assert said["psnr_reference_bicubic"] == pytest.approx(said["psnr"], abs=0.6)
        assert said["psnr_reference_bicubic"] != said["psnr_bicubic"]
    else:
        assert said["psnr_reference_bicubic"] is None
        assert said["psnr"] == pytest.approx(said["psnr_bicubic"], abs=0.6)


def test_evaluate_says_that_bicubic_is_better(run: Run, tmp_path: Path) -> None:
    image = pattern(Region(0, 40, 160, 120), 1.0)
    Image.fromarray(np.rint(image).astype(np.uint8)).save(tmp_path / "a.png")
    words = ("evaluate", "--images", tmp_path, "--device", "cpu", "--json", "--model")
    worse = json.loads(run(*words, write_model(tmp_path, 2)).stdout)
    assert worse["psnr"] < worse["psnr_bicubic"] - 1
    figures = f"({worse['psnr']:.2f} against {worse['psnr_bicubic']:.2f} dB)"
    assert worse["warning"].startswith(f"Worse than bicubic here {figures}: fine-tune")
    smooth = tmp_path / "smooth.safetensors"  # bicubic twice: better, where all is smooth
    save_weights(smooth, CwtNet(preset("lite", 4, blocks=1, channels=8, skip="source")), {})
    better = json.loads(run(*words, smooth).stdout)
    assert better["psnr"] > better["psnr_bicubic"]
    assert "warning" not in better


def test_models(run: Run) -> None:
    said = json.loads(run("models", "--json").stdout)["models"]
    found = {model["name"]: model for model in said}
    assert found["small-x4"]["modes"] == ["single-image", "cross-scale"]
    assert found["small-x2"]["scale"] == 2


def test_models_for_people_are_a_table(run: Run) -> None:
    lines = [re.split(r"  +", line.strip()) for line in run("models").stdout.splitlines()]
    assert lines[2][:4] == ["name", "scale", "modes", "parameters"]
    found = {line[0]: line for line in lines[3:]}
    assert found["small-x2"][1:3] == ["2", "single-image"]
    assert found["small-x4"][1:3] == ["4", "single-image, cross-scale"]


def test_doctor(run: Run) -> None:
    said = json.loads(run("doctor", "--json").stdout)
    assert said["openslide"].startswith("4.")
    assert "small-x2: good" in said["models"]
    assert any(line.startswith("cpu: ") for line in said["devices"])


def test_a_region_that_begins_outside_the_slide(run: Run, slide_file: Path, tmp_path: Path) -> None:
    done = run(
        "enhance", slide_file, "--region", "-20,-30,120,100", "--model", "small-x2",
        "--output", tmp_path / "out.png", "--json",
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert said["region"] == [0, 0, 100, 70]
    assert said["output_size"] == [200, 140]


def test_a_damaged_model_does_not_hide_the_others(
    run: Run, slide_file: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = models / "broken.safetensors"
    broken.write_bytes(b"junk")
    try:
        listed = {m["name"]: m for m in json.loads(run("models", "--json").stdout)["models"]}
        assert "broken" in listed["broken"]["problem"]
        assert listed["small-x2"]["scale"] == 2
        assert run("info", slide_file, "--json").returncode == 0
    finally:
        broken.unlink()
