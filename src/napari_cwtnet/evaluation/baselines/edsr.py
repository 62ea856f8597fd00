"""EDSR: residual blocks without normalisation.

Lim, Son, Kim, Nah, Lee: Enhanced deep residual networks for single image super-resolution, CVPRW
2017 (arXiv 1707.02921).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from napari_cwtnet.evaluation.baselines.common import (
    BICUBIC_REACH,
    L1_ALONE,
    Baseline,
    BaselineConfig,
    at_every_scale,
)
from napari_cwtnet.model.architectures import Architecture, preset_of
from napari_cwtnet.model.blocks import Upsampler, conv
from napari_cwtnet.model.config import MLCAMSR_MEAN


class EdsrConfig(BaselineConfig):
    """The defaults are the paper's baseline: 16 blocks of 64 channels."""

    architecture: ClassVar[str] = "edsr"

    blocks: int = Field(16, ge=1, le=64, description="residual blocks")
    channels: int = Field(64, ge=4, le=512, description="feature channels")
    residual_scaling: float = Field(
        1.0, gt=0, le=1, description="factor of each block's correction"
    )
    mean: tuple[float, float, float] | None = MLCAMSR_MEAN

    def receptive_radius(self) -> int:
        """LR pixels on each side of an SR pixel."""
        return 1 + 2 * self.blocks + 1 + 3 + BICUBIC_REACH


class ScaledBlock(nn.Module):
    """Conv, ReLU, conv, times a factor, plus the input."""

    def __init__(self, channels: int, scaling: float) -> None:
        super().__init__()
        self.scaling = scaling
        self.first = conv(channels, channels)
        self.second = conv(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, h, w)`` to the same."""
        correction: Tensor = self.second(torch.relu(self.first(features)))
        return features + self.scaling * correction


class Edsr(Baseline):
    """Head, residual blocks with a long skip, sub-pixel shuffles."""

    config: EdsrConfig

    def __init__(self, config: EdsrConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.head = conv(3, channels)
        self.body = nn.Sequential(
            *(ScaledBlock(channels, config.residual_scaling) for _ in range(config.blocks)),
            conv(channels, channels),
        )
        self.tail = Upsampler(channels, config.scale)
        self.begin_at_skip(self.tail[-1])

    def image(self, lr: Tensor) -> Tensor:
        """SR less the mean or the skip."""
        first = self.head(lr)
        made: Tensor = self.tail(first + self.body(first))
        return made


ARCHITECTURE = Architecture(
    "edsr",
    EdsrConfig,
    Edsr,
    preset_of(
        EdsrConfig,
        {
            "published": {},
            "published-full": at_every_scale(blocks=32, channels=256, residual_scaling=0.1),
            # as deep as published, but narrower
            "matched": at_every_scale(channels=40, skip="bicubic", halo=8),
        },
    ),
    {"preset": "published", **L1_ALONE},
)
