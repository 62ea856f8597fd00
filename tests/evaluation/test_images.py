"""Figures on folders of images are those of a computation by hand, but for a row at the edge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_cwtnet.errors import RequestError
from napari_cwtnet.evaluation import chosen_images, evaluate_images
from napari_cwtnet.metrics import psnr, ssim
from napari_cwtnet.model import CwtNet, Model, preset


@pytest.fixture
def images(tmp_path: Path) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    made = {}
    for number, size in enumerate([(96, 64), (67, 90)]):
        coarse = generator.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        image = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
        made[f"{number}.png"] = image
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    return made


def bicubic_model(scale: int) -> Model:
    network = CwtNet(preset("lite", scale, blocks=1, channels=8)).eval()
    path = Path("bicubic.safetensors")
    return Model("bicubic", path, network.config, {"reference_share": 0.5}, "", network)


def test_bicubic_figures_equal_pillow(images, tmp_path: Path) -> None:
    found = evaluate_images(chosen_images(tmp_path), bicubic_model(2), device="cpu")
    image = images["0.png"]
    half = Image.fromarray(image).resize((48, 32), Image.Resampling.BICUBIC)
    again = np.asarray(half.resize((96, 64), Image.Resampling.BICUBIC))
    figures = found.images["0.png"]
    assert figures["psnr_bicubic"] == pytest.approx(psnr(again, image, 2), abs=0.1)
    assert figures["ssim_bicubic"] == pytest.approx(ssim(again, image, 2), abs=1e-3)
    assert figures["psnr"] == pytest.approx(psnr(again, image, 2), abs=0.3)
    assert found.means()["psnr"] == pytest.approx(
        np.mean([f["psnr"] for f in found.images.values()])
    )


def test_sides_that_are_no_multiple_are_cropped(images, tmp_path: Path) -> None:
    found = evaluate_images(chosen_images(tmp_path, ["1.png"]), bicubic_model(4), "next")
    assert list(found.images) == ["1.png"]
    assert found.mode == "cross-scale"
    assert found.images["1.png"]["psnr_reference_bicubic"] > 20


def test_no_images(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist"):
        chosen_images(tmp_path / "nowhere")
    with pytest.raises(RequestError, match=r"no PNG, JPEG or TIFF image named a\* or b\*"):
        chosen_images(tmp_path, ["a*", "b*"])


def test_an_image_below_the_scale(tmp_path: Path) -> None:
    Image.new("RGB", (3, 3)).save(tmp_path / "dot.png")
    with pytest.raises(RequestError, match="smaller than 4 pixels"):
        evaluate_images([tmp_path / "dot.png"], bicubic_model(4))
