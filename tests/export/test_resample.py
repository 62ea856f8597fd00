"""A slide at an exact pixel size: its pixels, their place, and what they say of themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from napari_cwtnet import open_slide
from napari_cwtnet.cli import main
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import CwtNet, preset, save_weights

MPP = 0.5


@pytest.fixture
def slide_path(tmp_path: Path) -> Path:
    """Smooth, so that every kernel nearly agrees, with a bright square whose place is known."""
    y, x = np.mgrid[:600, :900]
    image = np.stack([128 + 60 * np.sin(x / 40), 128 + 60 * np.cos(y / 50), (x + y) / 6], -1)
    image[200:240, 400:440] = 250
    path = tmp_path / "slide.tif"
    tifffile.imwrite(
        path, image.astype(np.uint8), tile=(256, 256), photometric="rgb",
        resolution=(1e4 / MPP, 1e4 / MPP), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


def centre(slide) -> tuple[float, float]:
    """Of the bright square, µm from the corner."""
    level = slide.read(Region(0, 0, *slide.size), 1).astype(float)
    bright = level.min(-1) > 200
    rows, columns = np.nonzero(bright)
    return (rows.mean() + 0.5) * slide.mpp, (columns.mean() + 0.5) * slide.mpp


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
@pytest.mark.parametrize(("mpp", "by"), [(1.0, "box"), (0.7, "box"), (0.35, "bicubic")])
def test_pixel_size_and_place(
    slide_path: Path, tmp_path: Path, capsys, suffix: str, mpp: float, by: str
) -> None:
    output = tmp_path / f"made{suffix}"
    words = ["resample", str(slide_path), "--mpp", str(mpp), "--output", str(output), "--json"]
    assert main([*words, *(["--model", by] if by == "bicubic" else [])]) == 0
    assert json.loads(capsys.readouterr().out)["computed"] is False
    with open_slide(slide_path) as before, open_slide(output) as after:
        assert after.mpp == pytest.approx(mpp)
        assert after.computed is None
        wanted = [side * MPP / mpp for side in before.size]
        assert list(after.size) == [int(side + 1e-6) for side in wanted]
        np.testing.assert_allclose(centre(after), centre(before), atol=mpp / 2)


def test_half_is_the_mean_of_two_by_two(slide_path: Path, tmp_path: Path) -> None:
    output = tmp_path / "half.ome.tif"
    assert main(["resample", str(slide_path), "--mpp", "1", "--output", str(output)]) == 0
    image = tifffile.imread(slide_path).astype(float)
    means = image.reshape(300, 2, 450, 2, 3).mean((1, 3))
    np.testing.assert_allclose(tifffile.imread(output), means, atol=1)


def test_a_model_makes_it_finer_and_says_so(slide_path: Path, tmp_path: Path, capsys) -> None:
    model, output = tmp_path / "plain-x2.safetensors", tmp_path / "finer.ome.tif"
    save_weights(model, CwtNet(preset("lite", 2, blocks=1, channels=8)), {})
    words = ["resample", str(slide_path), "--mpp", "0.3", "--model", str(model)]
    assert main([*words, "--output", str(output), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["computed"] is True
    with open_slide(slide_path) as before, open_slide(output) as after:
        assert after.mpp == pytest.approx(0.3)
        assert after.computed is not None
        assert after.size == (1500, 1000)
        np.testing.assert_allclose(centre(after), centre(before), atol=0.15)
    assert sorted(one.name for one in tmp_path.glob(".*")) == []


def test_openslide_reads_the_pixel_size(slide_path: Path, tmp_path: Path) -> None:
    output = tmp_path / "made.ome.tif"
    assert main(["resample", str(slide_path), "--mpp", "0.75", "--output", str(output)]) == 0
    with openslide.OpenSlide(output) as slide:
        resolution = float(slide.properties["tiff.XResolution"])
        assert 1e4 / resolution == pytest.approx(0.75, rel=1e-4)


def test_pixels_that_are_not_square_have_no_exact_size(tmp_path: Path, capsys) -> None:
    tifffile.imwrite(
        tmp_path / "slide.tif", np.full((200, 300, 3), 128, np.uint8), photometric="rgb",
        resolution=(40000, 20000), resolutionunit="CENTIMETER",
    )  # fmt: skip
    output = tmp_path / "made.ome.tif"
    words = ["resample", str(tmp_path / "slide.tif"), "--mpp", "1", "--output", str(output)]
    assert main(words) == 2
    assert "not square: 0.25 × 0.5 µm" in capsys.readouterr().err
    assert main([*words, "--native-mpp", "0.25"]) == 0
    with open_slide(output) as slide:
        assert (slide.mpp, slide.pixel_aspect, slide.size) == (1, 1, (75, 50))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--mpp", "-1"], "above 0"),
        (["--mpp", "nan"], "above 0"),
        (["--mpp", "0.3", "--model", "box"], "cannot be finer"),
        (["--mpp", "0.1", "--model", "cwtnet-lite-x2"], "larger scale"),
        (["--mpp", "2", "--model", "cwtnet-lite-x2"], "no finer than the slide"),
        (["--mpp", "0.3", "--model", "nosuch"], "nosuch"),
    ],
)
def test_what_cannot_be_had(slide_path: Path, tmp_path: Path, capsys, words, says) -> None:
    output = tmp_path / "made.ome.tif"
    assert main(["resample", str(slide_path), *words, "--output", str(output)]) == 2
    assert says in capsys.readouterr().err
    assert not output.exists()
