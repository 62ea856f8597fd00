"""SRResNet, the generator of SRGAN.

Ledig et al.: Photo-realistic single image super-resolution using a generative adversarial network,
CVPR 2017 (arXiv 1609.04802). Trained without ``adversarial`` in the recipe it is SRResNet, with it
SRGAN.
"""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from napari_cwtnet.evaluation.baselines.common import (
    BICUBIC_REACH,
    MSE_ALONE,
    Baseline,
    BaselineConfig,
)
from napari_cwtnet.model.architectures import Architecture, preset_of
from napari_cwtnet.model.blocks import conv


class SrresnetConfig(BaselineConfig):
    """The defaults are the paper's: 16 blocks of 64 channels."""

    architecture: ClassVar[str] = "srresnet"

    blocks: int = Field(16, ge=1, le=64, description="residual blocks")
    channels: int = Field(64, ge=4, le=512, description="feature channels")

    def receptive_radius(self) -> int:
        """LR pixels on each side of an SR pixel."""
        return 4 + 2 * self.blocks + 1 + 2 + math.ceil(4 / self.scale) + BICUBIC_REACH


class NormalisedBlock(nn.Module):
    """Conv, BN, PReLU, conv, BN, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(channels, channels),
            nn.BatchNorm2d(channels),
            nn.PReLU(),
            conv(channels, channels),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, h, w)`` to the same."""
        correction: Tensor = self.body(features)
        return features + correction


class Srresnet(Baseline):
    """16 residual blocks with batch normalisation and a long skip, then sub-pixel shuffles."""

    config: SrresnetConfig

    def __init__(self, config: SrresnetConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.head = nn.Sequential(nn.Conv2d(3, channels, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(
            *(NormalisedBlock(channels) for _ in range(config.blocks)),
            conv(channels, channels),
            nn.BatchNorm2d(channels),
        )
        steps: list[nn.Module] = []
        for _ in range(round(math.log2(config.scale))):
            steps += [conv(channels, 4 * channels), nn.PixelShuffle(2), nn.PReLU()]
        self.up = nn.Sequential(*steps)
        self.last = nn.Conv2d(channels, 3, 9, padding=4)
        self.begin_at_skip(self.last)

    def image(self, lr: Tensor) -> Tensor:
        """SR, or what is added to the skip."""
        first = self.head(lr)
        made: Tensor = self.last(self.up(first + self.body(first)))
        return made


_NARROW = {"channels": 40, "skip": "bicubic", "halo": 8}
ARCHITECTURE = Architecture(
    "srresnet",
    SrresnetConfig,
    Srresnet,
    preset_of(
        SrresnetConfig,
        {
            "published": {},
            # as deep as published (×8: one block less), but narrower
            "matched": {2: _NARROW, 4: _NARROW, 8: _NARROW | {"blocks": 15}},
        },
    ),
    {"preset": "published", **MSE_ALONE},
)
