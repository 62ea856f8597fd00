"""MWCNN: a U-Net whose steps down and up are wavelet transforms, on the bicubic enlargement.

Liu, Zhang, Lian, Zuo: Multi-level wavelet convolutional neural networks, IEEE Access 2019
(arXiv 1907.03128), the second version of the CVPRW 2018 network (arXiv 1805.07071): widths double
with each of three levels, and pairs of convolutions are dilated. Here on RGB, the first layers with
64 channels.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from napari_cwtnet.evaluation.baselines.common import (
    BICUBIC_REACH,
    L1_ALONE,
    Baseline,
    BaselineConfig,
    Skip,
    joined,
    split,
)
from napari_cwtnet.model.architectures import Architecture, preset_of
from napari_cwtnet.model.blocks import bicubic

Width = Annotated[int, Field(ge=4, le=1024)]
_LEVELS = 3
_STEP = 2**_LEVELS


class MwcnnConfig(BaselineConfig):
    """The defaults are the second version's, with 64 channels at full size."""

    architecture: ClassVar[str] = "mwcnn"

    widths: tuple[Width, Width, Width, Width] = Field(
        (64, 128, 256, 512), description="channels at full, half, quarter and eighth size"
    )
    skip: Skip = Field("bicubic", description="as published: what is learnt is the rest")

    def receptive_radius(self) -> int:
        """LR pixels on each side of an SR pixel."""
        pairs = 2 * (1 + 2)  # dilated convolutions on the way down and up
        sides = [2 + pairs] * _LEVELS + [2 + 2 * (2 + 3)]
        enlarged: int = sum(side * 2**level for level, side in enumerate(sides)) + 2 * _STEP
        return math.ceil(enlarged / self.scale) + BICUBIC_REACH


class DilatedPair(nn.Sequential):
    """Two convolutions that keep the size, each with ReLU."""

    def __init__(self, channels: int, first: int, second: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=first, dilation=first),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=second, dilation=second),
            nn.ReLU(),
        )


def _entry(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU())


class Mwcnn(Baseline):
    """Three Haar transforms down and up, with sums between equal sizes."""

    config: MwcnnConfig

    def __init__(self, config: MwcnnConfig) -> None:
        super().__init__(config)
        widths = config.widths
        self.head = _entry(3, widths[0])
        self.down = nn.ModuleList([DilatedPair(widths[0], 2, 1)])
        self.up = nn.ModuleList([DilatedPair(widths[0], 1, 2)])
        for finer, width in pairwise(widths[:3]):
            self.down.append(nn.Sequential(_entry(4 * finer, width), DilatedPair(width, 2, 1)))
            self.up.append(nn.Sequential(DilatedPair(width, 1, 2), _entry(width, 4 * finer)))
        self.bottom = nn.Sequential(
            _entry(4 * widths[2], widths[3]),
            DilatedPair(widths[3], 2, 3),
            DilatedPair(widths[3], 3, 2),
            _entry(widths[3], 4 * widths[2]),
        )
        self.last = nn.Conv2d(widths[0], 3, 3, padding=1)
        self.begin_for_relu()
        self.begin_at_skip(self.last)

    def image(self, lr: Tensor) -> Tensor:
        """What is added to the bicubic enlargement."""
        enlarged = bicubic(lr, self.config.scale)
        height, width = enlarged.shape[-2:]
        missing = (0, -width % _STEP, 0, -height % _STEP)  # every level needs even sizes
        given = F.pad(enlarged, missing, mode="replicate")
        features = self.head(given)
        kept = []
        for level, down in enumerate(self.down):
            features = down(features if level == 0 else split(features))
            kept.append(features)
        features = joined(self.bottom(split(features)))
        for level in reversed(range(_LEVELS)):
            features = self.up[level](features + kept[level])
            if level:
                features = joined(features)
        made: Tensor = self.last(features)
        return made[..., :height, :width]


ARCHITECTURE = Architecture(
    "mwcnn",
    MwcnnConfig,
    Mwcnn,
    preset_of(
        MwcnnConfig,
        {
            "published": {},
            # as deep as published; narrower, and no wider at the coarsest levels than need be
            "matched": {
                2: {"widths": (16, 32, 40, 56), "halo": 8},
                4: {"widths": (16, 32, 44, 56), "halo": 8},
                8: {"widths": (16, 32, 48, 56), "halo": 8},
            },
        },
    ),
    {"preset": "published", **L1_ALONE},
)
