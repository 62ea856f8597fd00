"""PSNR and SSIM against scikit-image and against values known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import metrics as skimage_metrics

from napari_cwtnet.metrics import psnr, ssim, ssim_map

Image = NDArray[np.uint8]


def noisy_pair(shape: tuple[int, int] = (40, 33)) -> tuple[Image, Image]:
    generator = np.random.default_rng(5)
    ramp = np.linspace(0, 255, shape[0] * shape[1] * 3).reshape(*shape, 3)
    first = (ramp + 20 * np.sin(ramp)).clip(0, 255).astype(np.uint8)
    second = (first + generator.normal(0, 12, first.shape)).clip(0, 255).astype(np.uint8)
    return first, second


@pytest.mark.parametrize("crop", [0, 2, 8])
def test_psnr_is_that_of_scikit_image(crop: int) -> None:
    first, second = noisy_pair()
    inside = (slice(crop, 40 - crop), slice(crop, 33 - crop))
    wanted = skimage_metrics.peak_signal_noise_ratio(first[inside], second[inside], data_range=255)
    assert psnr(first, second, crop) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("crop", [0, 2, 8])
def test_ssim_is_that_of_scikit_image(crop: int) -> None:
    first, second = noisy_pair()
    inside = (slice(crop, 40 - crop), slice(crop, 33 - crop))
    wanted = skimage_metrics.structural_similarity(
        first[inside],
        second[inside],
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )
    assert wanted < 0.99
    assert ssim(first, second, crop) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("error", "decibels"), [(1, 48.1308), (5, 34.1514), (255, 0.0)])
def test_psnr_of_a_constant_error(error: int, decibels: float) -> None:
    black = np.zeros((5, 5, 3), np.uint8)
    assert psnr(black, black + np.uint8(error)) == pytest.approx(decibels, abs=1e-4)


def test_error_does_not_wrap_around() -> None:
    low, high = np.full((4, 4, 3), 1, np.uint8), np.full((4, 4, 3), 254, np.uint8)
    assert psnr(low, high) == psnr(high, low) == pytest.approx(20 * math.log10(255 / 253))


def test_equal_images() -> None:
    image = noisy_pair()[0]
    assert psnr(image, image) == math.inf
    assert ssim(image, image) == pytest.approx(1, abs=1e-12)


def test_only_the_border_is_cropped() -> None:
    first = np.zeros((20, 20, 3), np.uint8)
    second = first.copy()
    second[2, 10] = 255
    assert psnr(first, second, 2) < math.inf
    assert psnr(first, second, 3) == math.inf


def test_ssim_of_constant_images() -> None:
    first, second = np.full((11, 11, 3), 50, np.uint8), np.full((11, 11, 3), 100, np.uint8)
    a, b, c1 = 50 / 255, 100 / 255, 0.01**2
    wanted = (2 * a * b + c1) / (a * a + b * b + c1)
    assert ssim(first, second) == pytest.approx(wanted, abs=1e-9)


def test_ssim_map_is_where_the_window_fits_and_differentiable() -> None:
    first, second = torch.rand(2, 3, 14, 12, requires_grad=True), torch.rand(2, 3, 14, 12)
    local = ssim_map(first, second)
    assert local.shape == (2, 3, 4, 2)
    local.mean().backward()
    assert first.grad is not None
    assert first.grad.abs().max() > 0


def test_too_small_for_ssim() -> None:
    image = np.zeros((14, 14, 3), np.uint8)
    with pytest.raises(ValueError, match=r"at least 11 × 11 pixels, got \(10, 10\)"):
        ssim(image, image, 2)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_shapes_must_agree_and_something_must_be_left(metric: object) -> None:
    assert callable(metric)
    image = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(ValueError, match=r"different shapes: \(16, 16, 3\) and \(1, 16, 3\)"):
        metric(image, image[:1])
    with pytest.raises(ValueError, match="a crop of 8 leaves nothing"):
        metric(image, image, 8)


def test_ssim_of_a_tall_image_is_the_mean_of_the_whole_map() -> None:
    generator = np.random.default_rng(3)
    first = generator.integers(0, 256, (700, 40, 3), dtype=np.uint8)
    second = np.clip(first.astype(int) + generator.integers(-40, 40, first.shape), 0, 255)
    pair = [
        torch.from_numpy(i.astype(np.float64)).permute(2, 0, 1)[None] / 255 for i in (first, second)
    ]
    wanted = float(ssim_map(*pair).mean())
    assert ssim(first, second.astype(np.uint8)) == pytest.approx(wanted, abs=1e-12)
