"""The degradation of the input as a vector, and FiLM: the features that the vector scales.

FiLM (Perez 2018, arXiv 1709.07871): a small MLP turns the vector into a scale and a shift for the
features at every site. Its last layer starts at zero, so an untrained conditioning changes nothing.
"""

from __future__ import annotations

import io
import math
from functools import lru_cache

import torch
from PIL import Image
from torch import Tensor, nn

from napari_cwtnet.slides.degradation import (
    SUBSAMPLINGS,
    UNKNOWN,
    Compression,
    Degradation,
    kernel_response,
    sharpening_response,
)
from napari_cwtnet.slides.degrade import ZIGZAG

FREQUENCIES = (0.125, 0.25, 0.375, 0.5, 0.75)
"""Cycles per pixel at which the vector samples the response of kernel and sharpening."""
_BANDS = ((0, 6), (6, 21), (21, 64))
"""Zigzag ranges of low, middle and high frequencies."""
LENGTH = 1 + len(FREQUENCIES) + 2 + 2 + 2 + len(_BANDS) + 1 + len(SUBSAMPLINGS) + 2


@lru_cache(maxsize=4096)
def degradation_vector(degradation: Degradation) -> tuple[float, ...]:
    """A degradation as numbers of about 0 to 1; unknown parts are 0.

    Known parts begin with a 1: the kernel (response at :data:`FREQUENCIES`), the sharpening
    (amount), the noise (grey levels / 10) and the compression (whether it is JPEG; log2 of the
    mean quantisation step of luma in three bands, and of chroma, over 8; subsampling, one-hot;
    whether it is JPEG 2000, and log2 of its bits per pixel over 5).
    """
    kernel, sharpening, noise = degradation.kernel, degradation.sharpening, degradation.noise
    numbers = [0.0] * (1 + len(FREQUENCIES))
    if kernel is not None:
        numbers = [
            1.0,
            *(
                kernel_response(kernel, f) * sharpening_response(sharpening or 0.0, f)
                for f in FREQUENCIES
            ),
        ]
    numbers += [0.0, 0.0] if sharpening is None else [1.0, sharpening]
    numbers += [0.0, 0.0] if noise is None else [1.0, noise / 10]
    return tuple(numbers + _compression(degradation.compression))


def degradation_tensor(lr: Degradation, reference: Degradation = UNKNOWN) -> Tensor:
    """Degradations of LR and of the reference as network input: ``(2, LENGTH)`` float32."""
    vectors = [degradation_vector(lr), degradation_vector(reference)]
    return torch.tensor(vectors, dtype=torch.float32)


def without_jpeg2000(degradation: Degradation) -> Degradation:
    """The degradation without JPEG 2000, which models saw too rarely in training to benefit."""
    compression = degradation.compression
    if compression is not None and compression.kind == "jpeg2000":
        return degradation.without("compression")
    return degradation


class Conditioning(nn.Module):
    """An MLP from the degradation of an input to scales and shifts of features.

    Parameters
    ----------
    sites : int
        Places where features are scaled and shifted.
    channels : int
        Of the features.
    hidden : int
        Units of its two hidden layers.
    """

    def __init__(self, sites: int, channels: int, hidden: int) -> None:
        super().__init__()
        self._shape = (sites, 2, channels, 1, 1)
        self.enter = nn.Linear(2 * LENGTH, hidden)
        self.middle = nn.Linear(hidden, hidden)
        self.leave = nn.Linear(hidden, 2 * sites * channels)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, known: Tensor) -> Tensor:
        """``(N, 2, LENGTH)`` to ``(sites, 2, N, channels, 1, 1)``: scales less 1, and shifts."""
        flat = known.flatten(1).to(self.enter.weight.dtype)
        units = torch.relu(self.middle(torch.relu(self.enter(flat))))
        found: Tensor = self.leave(units)
        return found.view(-1, *self._shape).movedim(0, 2)


def modulated(features: Tensor, film: Tensor | None, site: int) -> Tensor:
    """Features ``(N, C, h, w)`` scaled and shifted as :class:`Conditioning` says for a site."""
    if film is None:
        return features
    scale, shift = film[site]
    return torch.addcmul(features + shift, features, scale)


def _compression(compression: Compression | None) -> list[float]:
    length = LENGTH - 1 - len(FREQUENCIES) - 4
    if compression is None or compression.kind == "other":
        return [0.0] * length
    is_jpeg = compression.kind == "jpeg"
    steps = [0.0] * (len(_BANDS) + 1)
    if is_jpeg and (compression.tables or compression.quality):
        tables = compression.tables or libjpeg_tables(compression.quality or 75)
        luma, chroma = tables[0], tables[min(1, len(tables) - 1)]
        steps = [_log_mean(luma[first:stop]) for first, stop in _BANDS]
        steps.append(_log_mean(chroma[: _BANDS[1][1]]))
    sampling = [float(is_jpeg and name == compression.subsampling) for name in SUBSAMPLINGS]
    rate = compression.rate
    jpeg2000 = [0.0, 0.0]
    if compression.kind == "jpeg2000":
        jpeg2000 = [1.0, 0.0 if rate is None else math.log2(1 + max(0.0, rate)) / 5]
    return [1.0, float(is_jpeg), *steps, *sampling, *jpeg2000]


def _log_mean(table: tuple[int, ...]) -> float:
    return math.log2(sum(table) / len(table) + 1) / 8


@lru_cache(maxsize=128)
def libjpeg_tables(quality: int) -> tuple[tuple[int, ...], ...]:
    """The quantisation tables of luma and chroma, zigzag order, of a libjpeg quality."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as picture:
        tables = picture.quantization  # type: ignore[attr-defined]
    return tuple(tuple(tables[number][place] for place in ZIGZAG) for number in (0, 1))
