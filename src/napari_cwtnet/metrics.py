"""How close two images are: PSNR and SSIM, as differentiable maps and as reported numbers.

Reported numbers are on 8-bit RGB, all channels together, cropped by the scale on every side.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d

_WINDOW = 11
_SIGMA = 1.5
_BAND = 256


@lru_cache(maxsize=1)
def _gaussian() -> tuple[float, ...]:
    weights = [math.exp(-((i - _WINDOW // 2) ** 2) / (2 * _SIGMA**2)) for i in range(_WINDOW)]
    return tuple(w / sum(weights) for w in weights)


def _smooth(image: Tensor) -> Tensor:
    channels = image.shape[1]
    kernel = image.new_tensor(_gaussian())
    rows = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    columns = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    return conv2d(conv2d(image, rows, groups=channels), columns, groups=channels)


def ssim_map(first: Tensor, second: Tensor) -> Tensor:
    """Local structural similarity (Wang 2004: Gaussian 11×11, sigma 1.5, data range 1).

    Parameters
    ----------
    first, second : Tensor
        ``(N, C, H, W)``, H and W at least 11.

    Returns
    -------
    Tensor
        ``(N, C, H - 10, W - 10)`` in -1..1, for the places where the whole window fits.
    """
    c1, c2 = 0.01**2, 0.03**2
    mean_1, mean_2 = _smooth(first), _smooth(second)
    variance_1 = _smooth(first * first) - mean_1 * mean_1
    variance_2 = _smooth(second * second) - mean_2 * mean_2
    covariance = _smooth(first * second) - mean_1 * mean_2
    return ((2 * mean_1 * mean_2 + c1) * (2 * covariance + c2)) / (
        (mean_1 * mean_1 + mean_2 * mean_2 + c1) * (variance_1 + variance_2 + c2)
    )


def psnr(image: NDArray[np.uint8], truth: NDArray[np.uint8], crop: int = 0) -> float:
    """Peak signal-to-noise ratio in dB of two ``(H, W, 3)`` uint8 images; inf where equal.

    >>> psnr(np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8))
    0.0

    Raises
    ------
    ValueError
        If the shapes differ or nothing is left after cropping.
    """
    a, b = _cropped_pair(image, truth, crop)
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def ssim(image: NDArray[np.uint8], truth: NDArray[np.uint8], crop: int = 0) -> float:
    """Mean structural similarity of two ``(H, W, 3)`` uint8 images, -1..1.

    Raises
    ------
    ValueError
        If the shapes differ or less than 11 × 11 pixels are left after cropping.
    """
    first, second = _cropped_pair(image, truth, crop)
    if min(first.shape[:2]) < _WINDOW:
        raise ValueError(f"SSIM needs at least 11 × 11 pixels, got {first.shape[:2]}")
    total, rows = 0.0, int(first.shape[0]) - _WINDOW + 1
    # Bands bound the memory of large images: a dozen float64 maps would be alive at once.
    for top in range(0, rows, _BAND):
        band = slice(top, min(top + _BAND, rows) + _WINDOW - 1)
        with torch.no_grad():
            local = ssim_map(_tensor(first[band]), _tensor(second[band]))
        total += float(local.mean()) * local.shape[2]
    return total / rows


def _tensor(image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].double() / 255


def _cropped_pair(
    image: NDArray[np.uint8], truth: NDArray[np.uint8], crop: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    if image.shape != truth.shape:
        raise ValueError(f"images of different shapes: {image.shape} and {truth.shape}")
    height, width = image.shape[:2]
    if crop < 0 or min(height, width) <= 2 * crop:
        raise ValueError(f"a crop of {crop} leaves nothing of {image.shape[:2]}")
    inside = (slice(crop, height - crop), slice(crop, width - crop))
    return image[inside], truth[inside]
