"""RCAN: residual groups of blocks with channel attention.

Zhang, Li, Li, Wang, Zhong, Fu: Image super-resolution using very deep residual channel attention
networks, ECCV 2018 (arXiv 1807.02758).
"""

from __future__ import annotations

from typing import ClassVar

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
from napari_cwtnet.model.blocks import Upsampler, WaveletResidualBlock, conv
from napari_cwtnet.model.config import MLCAMSR_MEAN


class RcanConfig(BaselineConfig):
    """The defaults are the paper's: 10 groups of 20 blocks, 64 channels, reduction 16."""

    architecture: ClassVar[str] = "rcan"

    groups: int = Field(10, ge=1, le=20, description="residual groups")
    blocks: int = Field(20, ge=1, le=40, description="channel attention blocks in each group")
    channels: int = Field(64, ge=4, le=512, description="feature channels")
    reduction: int = Field(16, ge=1, description="channel reduction of the attention")
    mean: tuple[float, float, float] | None = MLCAMSR_MEAN

    def receptive_radius(self) -> int:
        """LR pixels on each side of an SR pixel; global pooling is left out."""
        return 1 + self.groups * (2 * self.blocks + 1) + 1 + 3 + BICUBIC_REACH


class ResidualGroup(nn.Module):
    """Blocks with channel attention, a convolution, plus the input.

    The block is CWT-Net's WRB: the paper made that from this one.
    """

    def __init__(self, config: RcanConfig) -> None:
        super().__init__()
        channels = config.channels
        self.body = nn.Sequential(
            *(WaveletResidualBlock(channels, config.reduction) for _ in range(config.blocks)),
            conv(channels, channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, h, w)`` to the same."""
        correction: Tensor = self.body(features)
        return features + correction


class Rcan(Baseline):
    """Residual in residual, then sub-pixel shuffles."""

    config: RcanConfig

    def __init__(self, config: RcanConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.head = conv(3, channels)
        self.body = nn.Sequential(
            *(ResidualGroup(config) for _ in range(config.groups)), conv(channels, channels)
        )
        self.tail = Upsampler(channels, config.scale)
        self.begin_at_skip(self.tail[-1])

    def image(self, lr: Tensor) -> Tensor:
        """SR less the mean or the skip."""
        first = self.head(lr)
        made: Tensor = self.tail(first + self.body(first))
        return made


ARCHITECTURE = Architecture(
    "rcan",
    RcanConfig,
    Rcan,
    preset_of(
        RcanConfig,
        # half the groups, a quarter of their blocks, half the width: still residual in residual
        {
            "published": {},
            "matched": at_every_scale(groups=5, blocks=5, channels=32, skip="bicubic", halo=8),
        },
    ),
    {"preset": "published", **L1_ALONE},
)
