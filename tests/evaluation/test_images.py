"""Figures on folders of images are those of a computation by hand, but for a row at the edge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from napari_cwtnet.errors import RequestError
from napari_cwtnet.evaluation import chosen_images, evaluate_images
from napari_cwtnet.metrics import psnr, ssim
from napari_cwtnet.model import CwtNet, Model, preset
from napari_cwtnet.slides.degradation import Degradation
from napari_cwtnet.slides.degrade import degrade


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


def told_model() -> Model:
    """A network that is told the degradation, with random weights."""
    network = CwtNet(preset("lite", 2, blocks=1, channels=8, conditioning=8)).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return Model("told", Path("told.safetensors"), network.config, {}, "", network)


@pytest.mark.parametrize("spec", ["box", "bicubic+jpeg50-420", "gauss0.8+sharpen0.5+noise2"])
def test_bicubic_figures_are_of_the_same_degraded_lr(images, tmp_path: Path, spec: str) -> None:
    found = evaluate_images(
        chosen_images(tmp_path, ["0.png"]), bicubic_model(2), degradation=spec, device="cpu"
    )
    image, random = images["0.png"], np.random.default_rng(0)
    lr = degrade(image, Degradation.parse(spec), 2, random=random)
    again = np.asarray(Image.fromarray(lr).resize((96, 64), Image.Resampling.BICUBIC))
    figures = found.images["0.png"]
    assert found.degradation == spec
    assert figures["psnr_bicubic"] == pytest.approx(psnr(again, image, 2), abs=1e-6)
    assert figures["ssim_bicubic"] == pytest.approx(ssim(again, image, 2), abs=1e-6)
    assert figures["psnr"] == pytest.approx(figures["psnr_bicubic"], abs=0.1)


def test_the_reference_is_degraded_too(images, tmp_path: Path) -> None:
    files = chosen_images(tmp_path, ["0.png"])
    found = evaluate_images(
        files, bicubic_model(4), "next", degradation="box+jpeg60", device="cpu"
    ).images["0.png"]
    half = degrade(images["0.png"], Degradation.parse("box+jpeg60"), 2)
    again = np.asarray(Image.fromarray(half).resize((96, 64), Image.Resampling.BICUBIC))
    want = psnr(again, images["0.png"], 4)
    assert found["psnr_reference_bicubic"] == pytest.approx(want, abs=1e-6)


def test_what_is_told_changes_the_model_s_figures_alone(images, tmp_path: Path) -> None:
    files, spec = chosen_images(tmp_path), "gauss0.8+noise3+jpeg60"
    figures = {}
    for told in ("file", "all", "nothing"):
        found = evaluate_images(files, told_model(), degradation=spec, told=told, device="cpu")
        assert found.told == told
        figures[told] = found.means()
    assert len({one["psnr"] for one in figures.values()}) == 3
    assert len({one["psnr_bicubic"] for one in figures.values()}) == 1
    untold = [
        evaluate_images(files, bicubic_model(2), degradation=spec, told=told, device="cpu").means()
        for told in ("file", "nothing")
    ]
    assert untold[0] == untold[1]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("nonsense", "'nonsense' is not understood"),
        ("box+jpeg0", "quality 0 is out of range"),
        ("box+jpeg75-411", "not understood"),
        ("", "not understood"),
        ("gauss99", "sigma 99 is out of range"),
    ],
)
def test_a_nonsense_spec_is_one_line(images, tmp_path: Path, spec: str, words: str) -> None:
    with pytest.raises(RequestError, match=words) as refusal:
        evaluate_images(chosen_images(tmp_path), bicubic_model(2), degradation=spec)
    assert "\n" not in str(refusal.value)
