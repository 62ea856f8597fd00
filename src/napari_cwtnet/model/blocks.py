"""The building blocks: residual blocks, the WR module, the CWTB and the upsampler."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_cwtnet.model.attention import attention, transfer
from napari_cwtnet.model.base import BlockRecord
from napari_cwtnet.model.best_match import identity_index
from napari_cwtnet.model.conditioning import modulated
from napari_cwtnet.model.config import NetworkConfig

_TAPS = 5


def bicubic(image: Tensor, factor: float) -> Tensor:
    """Resize ``(N, C, H, W)`` by ``factor`` along both axes, aligned on the outer corners.

    Enlarging interpolates; shrinking widens the kernel, as Pillow's ``BICUBIC`` does. Values may
    overshoot the input's range.
    """
    if factor == 1:
        return image
    # Half precision is too coarse for pixels, and torch has no antialiased kernel for bfloat16.
    exact = image.float() if image.dtype in (torch.bfloat16, torch.float16) else image
    if factor > 1 and factor == int(factor):
        return _enlarged(exact, int(factor)).to(image.dtype)
    size = [round(side * factor) for side in image.shape[-2:]]
    resized = F.interpolate(exact, size=size, mode="bicubic", antialias=True)
    return resized.to(image.dtype)


def _enlarged(image: Tensor, factor: int) -> Tensor:
    """Bicubic enlargement by sums in a fixed order.

    Every runtime computes it alike, on any number of threads.
    """
    wide = _enlarged_rows(image, factor)
    return _enlarged_rows(wide.transpose(-1, -2), factor).transpose(-1, -2)


def _enlarged_rows(image: Tensor, factor: int) -> Tensor:
    """``(..., W)`` to ``(..., factor·W)``; beyond the border the taps that are left make up."""
    width, reach = image.shape[-1], _TAPS // 2
    padded, inside = (F.pad(one, (reach, reach)) for one in (image, image.new_ones(1, width)))
    phases = []
    for weights in _bicubic_taps(factor):
        total, weight_inside = torch.zeros_like(image), image.new_zeros(1, width)
        for tap, weight in enumerate(weights):
            if weight:
                place = slice(tap, tap + width)
                total = total.add(padded[..., place], alpha=weight)
                weight_inside = weight_inside.add(inside[..., place], alpha=weight)
        phases.append(total / weight_inside)
    return torch.stack(phases, -1).flatten(-2)


@lru_cache
def _bicubic_taps(factor: int) -> tuple[tuple[float, ...], ...]:
    """Weights of five neighbours for each of ``factor`` phases (Keys 1981, a = -1/2)."""
    found = []
    for phase in range(factor):
        centre = (phase + 0.5) / factor - 0.5
        weights = [_keys(abs(place - centre)) for place in range(-(_TAPS // 2), _TAPS // 2 + 1)]
        found.append(tuple(weight / sum(weights) for weight in weights))
    return tuple(found)


def _keys(x: float) -> float:
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3×3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class ResidualBlock(nn.Module):
    """RB: conv, ReLU, conv, plus the input (EDSR, no normalisation)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = conv(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same."""
        correction: Tensor = self.second(torch.relu(self.first(features)))
        return features + correction


class WaveletResidualBlock(nn.Module):
    """WRB: an RB whose correction is weighted channel by channel (Eqs. 6, 7)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.first = conv(channels, channels)
        self.second = conv(channels, channels)
        self.down = nn.Conv2d(channels, inner, 1)
        self.up = nn.Conv2d(inner, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same."""
        correction: Tensor = self.second(torch.relu(self.first(features)))
        pooled = correction.mean((2, 3), keepdim=True)
        weights: Tensor = torch.sigmoid(self.up(torch.relu(self.down(pooled))))
        return features + correction * weights


class WaveletReconstruction(nn.Module):
    """WR: approximates the missing reference from LR."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels = config.channels
        self.head = conv(3, channels)
        self.body = nn.Sequential(
            *(WaveletResidualBlock(channels, config.wr_reduction) for _ in range(config.wr_blocks))
        )
        self.up = conv(channels, 4 * channels)
        self.shuffle = nn.PixelShuffle(2)
        self.tail = conv(channels, 3)

    def forward(self, lr: Tensor) -> Tensor:
        """``(N, 3, h, w)`` in 0..1 to an approximated reference ``(N, 3, 2h, 2w)``."""
        features = self.head(lr.to(self.head.weight.dtype))
        features = features + self.body(features)
        detail: Tensor = self.tail(self.shuffle(self.up(features)))
        return bicubic(lr, 2) + detail.to(lr.dtype)


class CrossScaleBlock(nn.Module):
    """CWTB: one step of the SR branch, one of the WT branch, and the transformer between them.

    Eqs. 2, 5, 8 and 9: ``Q = B_RBs(f_sr)``, ``K = B_RBw(f_hwt)``, ``f_sr = Q + C(cat(Q, T)) · S``.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels = config.channels
        self.config = config
        self.sr = nn.Sequential(
            *(ResidualBlock(channels) for _ in range(config.sr_residual_blocks))
        )
        if config.wt_branch:
            self.wt = nn.Sequential(
                *(ResidualBlock(channels) for _ in range(config.wt_residual_blocks))
            )
            self.fuse = conv(2 * channels, channels)

    def forward(
        self,
        f_sr: Tensor,
        f_hwt: Tensor | None,
        record: bool = False,
        film: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None, BlockRecord | None]:
        """Advance both branches by one block.

        Parameters
        ----------
        f_sr, f_hwt : Tensor
            ``(N, C, h, w)``; ``f_hwt`` is None without a WT branch.
        record : bool
            Also return the attention of this block.
        film : Tensor, optional
            Scales and shifts of Q and of K, ``(2, 2, N, C, 1, 1)``.
        """
        query = modulated(self.sr(f_sr), film, 0)
        if f_hwt is None:
            return query, None, None
        key = modulated(self.wt(f_hwt), film, 1)
        index, relevance = attention(query, key, self.config)
        texture = transfer(self._value(key), index, self.config.patch_normalisation)
        fused = query + self.fuse(torch.cat((query, texture), 1)) * relevance
        if self.config.double_residual:
            fused = fused + query
        if not record:
            return fused, key, None
        shown = identity_index(query) if index is None else index
        return fused, key, BlockRecord(query, key, relevance, shown)

    def _value(self, key: Tensor) -> Tensor:
        if self.config.value == "up_down":
            return bicubic(bicubic(key, 2), 0.5)
        if self.config.value == "down_up":
            return bicubic(bicubic(key, 0.5), 2)
        return key


class ErrorHead(nn.Module):
    """Predicts the mean size of the network's error within each LR pixel.

    Two convolutions give its logarithm. An untrained head predicts two grey levels everywhere.
    """

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.first = conv(features, channels)
        self.last = conv(channels, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.constant_(cast("Tensor", self.last.bias), math.log(2 / 255))

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, h, w)`` to ``(N, 1, h, w)`` float32 in 0..1."""
        logarithm: Tensor = self.last(torch.relu(self.first(features)))
        return logarithm.float().clamp(math.log(1e-4), 0.0).exp()


class Upsampler(nn.Sequential):
    """B_up: to RGB on the SR grid.

    Parameters
    ----------
    channels : int
        Features of the LR grid.
    scale : int
        Super-resolution factor.
    direct : bool
        A single convolution and sub-pixel shuffle, instead of one an octave and a last one to RGB.
    """

    def __init__(self, channels: int, scale: int, direct: bool = False) -> None:
        if direct:
            super().__init__(conv(channels, 3 * scale**2), nn.PixelShuffle(scale))
            return
        steps: list[nn.Module] = []
        for _ in range(round(math.log2(scale))):
            steps += [conv(channels, 4 * channels), nn.PixelShuffle(2)]
        super().__init__(*steps, conv(channels, 3))

    @property
    def last(self) -> nn.Module:
        """The convolution that outputs RGB."""
        return self[0] if isinstance(self[-1], nn.PixelShuffle) else self[-1]
