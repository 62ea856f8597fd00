"""SWD-Net: a spatial stage, and a wavelet stage that refines its image.

Chen, Guo, Yang, Ibragimov, Yuan: Joint spatial-wavelet dual-stream network for super-resolution,
MICCAI 2020. A reconstruction from the paper's summary and the CWT-Net paper, not from its code.
Theirs: two stages; in the first, two streams of different receptive fields that correct each other
repeatedly (refined context fusion, RCF); in the second, the sub-bands of the first image, scaled to
a common range (wavelet features adaptation, WFA) and convolved band by band (wavelet-aware
convolutions, WAC). Ours: the inside of an RCF, a WFA and a WAC; their numbers (12 and 11), chosen
to match the published 3.158 million parameters at ×2 within 1 %; more sub-pixel shuffles for ×4 and
×8. Their loss has terms for the first image and for the sub-bands; ours compares only the final
image with the truth.
"""

from __future__ import annotations

import math
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
    joined,
    split,
)
from napari_cwtnet.model.architectures import Architecture, preset_of
from napari_cwtnet.model.blocks import Upsampler, bicubic, conv
from napari_cwtnet.model.config import MLCAMSR_MEAN


class ContextFusion(nn.Module):
    """RCF: a near stream and a far one, each corrected by how the other differs; plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near = nn.ModuleList(conv(channels, channels) for _ in range(2))
        self.far = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2) for _ in range(2)
        )
        self.to_near = nn.Conv2d(channels, channels, 1)
        self.to_far = nn.Conv2d(channels, channels, 1)
        self.fuse = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, h, w)`` to the same."""
        near, far = (torch.relu(step[0](features)) for step in (self.near, self.far))
        difference = far - near
        near, far = near + self.to_near(difference), far - self.to_far(difference)
        near, far = torch.relu(self.near[1](near)), torch.relu(self.far[1](far))
        fused: Tensor = self.fuse(torch.cat((near, far), 1))
        return features + fused


class FeatureAdaptation(nn.Module):
    """WFA: a factor and an offset for each of the twelve coefficients, by its own spread."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1, 12, 1, 1))
        self.offset = nn.Parameter(torch.zeros(1, 12, 1, 1))
        # Details are some twenty times smaller than LL: begin with a common range.
        with torch.no_grad():
            self.factor[:, 3:] = 20.0

    def forward(self, bands: Tensor) -> Tensor:
        """``(N, 12, h, w)``, LL to HH of RGB, to the same."""
        return bands * self.factor + self.offset


class WaveletAwareBlock(nn.Module):
    """WAC: every band by its own convolutions, then all of them mixed; plus the input."""

    def __init__(self, band_channels: int) -> None:
        super().__init__()
        channels = 4 * band_channels
        self.first = nn.Conv2d(channels, channels, 3, padding=1, groups=4)
        self.mix = nn.Conv2d(channels, channels, 1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, groups=4)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, 4·C, h, w)`` to the same."""
        mixed = torch.relu(self.mix(torch.relu(self.first(features))))
        correction: Tensor = self.second(mixed)
        return features + correction


class SwdnetConfig(BaselineConfig):
    """The defaults have the published number of parameters."""

    architecture: ClassVar[str] = "swdnet"

    fusions: int = Field(12, ge=1, le=40, description="RCFs of the spatial stage")
    channels: int = Field(64, ge=4, le=512, description="feature channels of the spatial stage")
    wavelet_blocks: int = Field(11, ge=1, le=40, description="WACs of the wavelet stage")
    band_channels: int = Field(32, ge=2, le=256, description="feature channels of each sub-band")
    mean: tuple[float, float, float] | None = MLCAMSR_MEAN

    def receptive_radius(self) -> int:
        """LR pixels on each side of an SR pixel; global pooling is left out."""
        spatial = 1 + 4 * self.fusions + 1 + 3
        wavelet = 2 * (2 * self.wavelet_blocks + 2) + 2  # on a grid of half the SR pixels
        return spatial + math.ceil(wavelet / self.scale) + BICUBIC_REACH


class Swdnet(Baseline):
    """An image by the spatial stage, plus what the wavelet stage adds to its sub-bands."""

    config: SwdnetConfig

    def __init__(self, config: SwdnetConfig) -> None:
        super().__init__(config)
        channels, bands = config.channels, 4 * config.band_channels
        self.head = conv(3, channels)
        self.fusions = nn.Sequential(
            *(ContextFusion(channels) for _ in range(config.fusions)), conv(channels, channels)
        )
        self.tail = Upsampler(channels, config.scale)
        self.adaptation = FeatureAdaptation()
        self.enter = nn.Conv2d(12, bands, 3, padding=1, groups=4)
        self.wavelet = nn.Sequential(
            *(WaveletAwareBlock(config.band_channels) for _ in range(config.wavelet_blocks))
        )
        self.leave = nn.Conv2d(bands, 12, 3, padding=1, groups=4)
        self.begin_at_skip(self.tail[-1])
        nn.init.zeros_(self.leave.weight)  # the second stage begins by changing nothing
        if self.leave.bias is not None:
            nn.init.zeros_(self.leave.bias)

    def image(self, lr: Tensor) -> Tensor:
        """SR less the mean or the skip."""
        first = self.head(lr)
        made: Tensor = self.tail(first + self.fusions(first))
        whole = made
        if self.config.skip == "bicubic":  # the wavelet stage sees the image, not what it lacks
            whole = made + bicubic(lr, self.config.scale)
        bands = split(whole)
        features = torch.relu(self.enter(self.adaptation(bands)))
        return made + joined(self.leave(self.wavelet(features)))


ARCHITECTURE = Architecture(
    "swdnet",
    SwdnetConfig,
    Swdnet,
    preset_of(
        SwdnetConfig,
        {
            "published": {},
            # as deep as published, but narrower
            "matched": at_every_scale(channels=26, band_channels=13, skip="bicubic", halo=8),
        },
    ),
    {"preset": "published", **L1_ALONE},
)
