"""SRCNN: three convolutions on the bicubic enlargement.

Dong, Loy, He, Tang: Image super-resolution using deep convolutional networks, TPAMI 2016
(arXiv 1501.00092). Here on RGB; the paper's default is luminance alone.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from napari_cwtnet.evaluation.baselines.common import (
    BICUBIC_REACH,
    MSE_ALONE,
    Baseline,
    BaselineConfig,
    at_every_scale,
)
from napari_cwtnet.model.architectures import Architecture, preset_of
from napari_cwtnet.model.blocks import bicubic


class SrcnnConfig(BaselineConfig):
    """The defaults are the paper's 9-1-5."""

    architecture: ClassVar[str] = "srcnn"

    features: int = Field(64, ge=1, le=1024, description="channels after the first layer, n1")
    mapped: int = Field(32, ge=1, le=1024, description="channels after the second layer, n2")
    mapping_kernel: Literal[1, 3, 5, 7, 9] = Field(
        1, description="side of the second layer's kernel, f2"
    )

    def receptive_radius(self) -> int:
        """LR pixels on each side of an SR pixel."""
        enlarged = 4 + self.mapping_kernel // 2 + 2
        return math.ceil(enlarged / self.scale) + BICUBIC_REACH


class Srcnn(Baseline):
    """Patch extraction, non-linear mapping, reconstruction."""

    config: SrcnnConfig

    def __init__(self, config: SrcnnConfig) -> None:
        super().__init__(config)
        kernel = config.mapping_kernel
        self.extract = nn.Conv2d(3, config.features, 9, padding=4)
        self.map = nn.Conv2d(config.features, config.mapped, kernel, padding=kernel // 2)
        self.rebuild = nn.Conv2d(config.mapped, 3, 5, padding=2)
        self.begin_for_relu()
        self.begin_at_skip(self.rebuild)

    def image(self, lr: Tensor) -> Tensor:
        """SR, or what is added to the skip."""
        features = torch.relu(self.extract(bicubic(lr, self.config.scale)))
        rebuilt: Tensor = self.rebuild(torch.relu(self.map(features)))
        return rebuilt


_WIDE = {"mapping_kernel": 5, "mapped": 128, "skip": "bicubic", "halo": 8}
ARCHITECTURE = Architecture(
    "srcnn",
    SrcnnConfig,
    Srcnn,
    preset_of(
        SrcnnConfig,
        {
            "published": {},
            "published-955": at_every_scale(mapping_kernel=5),
            # 9-5-5, made wider in place of deeper: SRCNN gains nothing by depth (its section 4.3)
            "matched": {
                2: _WIDE | {"features": 152},
                4: _WIDE | {"features": 160},
                8: _WIDE | {"features": 168},
            },
        },
    ),
    {"preset": "published", **MSE_ALONE},
)
