"""Sub-bands against PyWavelets, and back."""

from __future__ import annotations

import numpy as np
import pytest
import pywt

from napari_cwtnet.enhancement import EnhanceRequest
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection import capture, energies, haar, images, inverse
from napari_cwtnet.inspection.bands import deepest, predicted, targets

RANDOM = np.random.default_rng(1)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_bands_are_those_of_pywavelets(depth: int) -> None:
    image = RANDOM.random((48, 72, 3)).astype(np.float32)
    levels = haar(image, depth)
    approximation, *details = pywt.wavedec2(image.astype(float), "haar", level=depth, axes=(0, 1))
    assert levels[-1]["LL"] == pytest.approx(np.moveaxis(approximation, -1, 0), abs=1e-6)
    for level, found in zip(levels, reversed(details), strict=True):
        for name, want in zip(("LH", "HL", "HH"), found, strict=True):
            assert level[name] == pytest.approx(np.moveaxis(want, -1, 0), abs=1e-6)
    assert inverse(levels) == pytest.approx(image, abs=1e-6)


def test_odd_sizes_lose_their_rest() -> None:
    image = RANDOM.integers(0, 256, (37, 50, 3)).astype(np.uint8)
    levels = haar(image, 2)
    assert levels[1]["LL"].shape == (3, 9, 12)
    assert np.array_equal(inverse(levels), image[:36, :48])


def test_energies_add_up_to_the_mean_square() -> None:
    image = RANDOM.integers(0, 256, (64, 32, 3)).astype(np.uint8)
    found = energies(haar(image, 3))
    assert list(found) == ["LL3", *(f"{b}{d}" for d in (3, 2, 1) for b in ("LH", "HL", "HH"))]
    assert sum(found.values()) == pytest.approx(np.mean(image.astype(float) ** 2))


def test_depths_that_the_size_does_not_bear() -> None:
    image = np.zeros((40, 70, 3), np.uint8)
    assert deepest(40, 70) == 5
    for depth in (0, 6, -1):
        with pytest.raises(RequestError, match=f"Depth {depth} .*70 × 40 pixels.*1 to 5"):
            haar(image, depth)


def test_images_of_a_field(slide, make_engine) -> None:
    engine = make_engine(seed=3)
    region = Region(0, 0, 128, 128)
    field = capture(slide, engine, EnhanceRequest(region, 4))
    assert {name: image.shape for name, image in images(field).items()} == {
        "lr": (32, 32, 3),
        "reference": (64, 64, 3),
        "sr": (128, 128, 3),
        "truth": (128, 128, 3),
    }
    split = haar(slide.read(region, 2))[0]
    for name, want in targets(field).items():
        assert want == pytest.approx(split[name], abs=1e-3)
        assert predicted(field)[name].shape == want.shape
    single = capture(slide, engine, EnhanceRequest(region, 4, "none"))
    assert list(images(single)) == ["lr", "wr", "sr", "truth"]
    assert images(single)["wr"].mean() != pytest.approx(images(single)["lr"].mean() / 255, rel=0.5)
