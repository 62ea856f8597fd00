"""``dataset build``: what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from cli.conftest import Run
from cli.test_refusals import refused

MPP = ("--mpp", "0.25")


def places(columns: int, seed: int = 0) -> NDArray[np.uint8]:
    """Squares of 1280 pixels in a row; red and green tell the place, blue is sharp."""
    height, width = 1030, columns * 1280
    x = np.broadcast_to(np.arange(width) // 40, (height, width))
    y = np.broadcast_to(np.arange(height)[:, None] // 8, (height, width))
    cells = np.random.default_rng(seed).integers(0, 2, (height // 8 + 1, width // 8))
    blue = 60 + 120 * cells.repeat(8, 0).repeat(8, 1)[:height]
    return np.stack((x, y, blue), 2).astype(np.uint8)


def shrunk(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    size = (image.shape[1] // factor, image.shape[0] // factor)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def write(path: Path, levels: list[NDArray[np.uint8]]) -> Path:
    with tifffile.TiffWriter(path) as writer:
        for number, level in enumerate(levels):
            options = {"photometric": "rgb", "metadata": None, "tile": (256, 256)}
            writer.write(level, subfiletype=min(number, 1), **options)
    return path


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    made = places(4)
    made[:, 1280:2560] = 245  # glass
    return made


@pytest.fixture(scope="module")
def slide(image: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    levels = [image, shrunk(image, 2), shrunk(image, 4)]
    return write(tmp_path_factory.mktemp("slides") / "patient.tif", levels)


def test_samples_are_the_slide_s_own_levels(
    run: Run, slide: Path, image: NDArray[np.uint8], tmp_path: Path
) -> None:
    output = tmp_path / "set"
    done = run("dataset", "build", slide, *MPP, "--output", output, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["train"], said["test"]) == (2, 1)
    assert said["left_out"] == {
        "blank": 1, "blurred": 0, "outside": 0, "near": 0, "disagreeing": 0,
    }  # fmt: skip
    manifest = json.loads((output / "manifest.json").read_text())
    assert said["manifest"] == str(output / "manifest.json")
    assert "patient" not in (output / "manifest.json").read_text()
    assert [level["stored"] for level in manifest["slides"][0]["levels"]] == [True] * 3
    assert sorted((s["x"], s["split"]) for s in manifest["samples"]) == [
        (0, "train"), (2560, "train"), (3840, "test"),
    ]  # fmt: skip
    levels = {"40x": (image, 1), "20x": (shrunk(image, 2), 2), "10x": (shrunk(image, 4), 4)}
    finest = []
    for sample in manifest["samples"]:
        assert sample["slide"] == manifest["slides"][0]["fingerprint"]
        for name, (level, factor) in levels.items():
            side, x = 1024 // factor, sample["x"] // factor
            with Image.open(output / sample["files"][name]) as picture:
                pixels = np.asarray(picture)
            assert np.array_equal(pixels, level[:side, x : x + side])
            if name == "40x" and sample["split"] == "train":
                finest.append(pixels)
    assert manifest["rgb_mean"] == pytest.approx(np.mean(finest, (0, 1, 2)) / 255, abs=1e-6)


def test_a_level_that_lies_beside_its_place_gives_samples_of_the_same_place(
    run: Run, tmp_path: Path
) -> None:
    made = places(3)[:1028]
    beside = np.roll(shrunk(made, 2), 4, axis=1)  # 8 pixels of level 0 to the right
    slide = write(tmp_path / "slide.tif", [made, beside])
    output = tmp_path / "set"
    done = run("dataset", "build", slide, *MPP, "--levels", "40,20", "--output", output)
    assert done.returncode == 0, done.stderr
    for sample in json.loads((output / "manifest.json").read_text())["samples"]:
        with Image.open(output / sample["files"]["20x"]) as picture:
            pixels = np.asarray(picture).astype(int)
        x, y = sample["x"] // 2, sample["y"] // 2
        height, width = pixels.shape[:2]
        wanted = shrunk(made, 2)[y : y + height, x : x + width]
        assert np.abs(pixels - wanted)[:, 16:-16].mean() < 2


def test_places_from_a_file(run: Run, slide: Path, tmp_path: Path) -> None:
    listed = tmp_path / "places.csv"
    listed.write_text(
        "slide,x,y,label\npatient,3,2,tumour\npatient,1300,0,glass\npatient.tif,4096,0,normal\n"
        "patient,9000,0,beyond\npatient,3000,0,too near\n"
    )
    output = tmp_path / "set"
    done = run(
        "dataset", "build", slide, *MPP, "--coordinates", listed, "--output", output, "--json"
    )
    said = json.loads(done.stdout)
    assert said["left_out"] == {
        "blank": 1, "blurred": 0, "outside": 1, "near": 1, "disagreeing": 0,
    }  # fmt: skip
    samples = json.loads((output / "manifest.json").read_text())["samples"]
    assert [(s["x"], s["y"], s["label"], s["split"]) for s in samples] == [
        (4, 0, "tumour", "train"), (4096, 0, "normal", "test"),
    ]  # fmt: skip


def test_what_is_not_stored_is_refused_unless_allowed(
    run: Run, image: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = write(tmp_path / "two.tif", [image, shrunk(image, 4)])
    words = ["dataset", "build", path, *MPP, "--output", tmp_path / "set", "--json"]
    refused(run(*words), "'two.tif' stores no 20×", "stored: 1, 4", "--allow-computed")
    assert not (tmp_path / "set").exists()
    assert run(*words, "--allow-computed").returncode == 0
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert [level["stored"] for level in manifest["slides"][0]["levels"]] == [True, False, True]


def test_levels_that_disagree_are_left_out(
    run: Run, image: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = write(tmp_path / "odd.tif", [image, shrunk(image, 2), shrunk(image, 4)[:, ::-1]])
    output = tmp_path / "set"
    done = run("dataset", "build", path, *MPP, "--output", output)
    refused(done, "No sample is left", "1 blank", "disagreeing")
    assert not output.exists()


def test_refusals(run: Run, slide: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    words = ["dataset", "build", slide, "--output", output]
    refused(run(*words), "no pixel size, so that its magnification is unknown; pass --mpp")
    refused(run(*words, "--mpp", "0.5"), "'patient.tif' has 20×", "40× cannot be had")
    refused(run(*words, *MPP, "--levels", "30,20"), "'30,20'", "40,20,10")
    refused(run(*words, *MPP, "--count", "0"), "Count 0")
    refused(run(*words, *MPP, "--coordinates", tmp_path / "no.csv"), "no.csv", "cannot be read")
    copy = tmp_path / "copy.tif"
    copy.write_bytes(slide.read_bytes())
    twins = ["dataset", "build", slide, copy, *MPP, "--output", output]
    refused(run(*twins), "'patient.tif' and 'copy.tif' are the same image", "leave one out")
    refused(run("dataset"), "ACTION")
    assert not output.exists()
    output.mkdir()
    (output / "kept.txt").write_text("mine")
    refused(run(*words, *MPP), "is not empty", "choose a new one")
    assert [path.name for path in output.iterdir()] == ["kept.txt"]
