"""Bicubic enlargement with the package's own kernel, as a network without weights."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from napari_cwtnet.evaluation.baselines.common import BICUBIC_REACH, Baseline, BaselineConfig
from napari_cwtnet.model.architectures import Architecture, preset_of


class BicubicConfig(BaselineConfig):
    """Config without choices."""

    architecture: ClassVar[str] = "bicubic"
    skip: Literal["bicubic"] = "bicubic"
    mean: Literal[None] = None

    def receptive_radius(self) -> int:
        """LR pixels on each side of an SR pixel."""
        return BICUBIC_REACH


class Bicubic(Baseline):
    """The antialiased kernel with a = -0.5 that makes LR; nothing to train."""

    def image(self, lr: Tensor) -> Tensor:
        """Zero: the skip is the result."""
        return lr.new_zeros(())


ARCHITECTURE = Architecture(
    "bicubic", BicubicConfig, Bicubic, preset_of(BicubicConfig, {"published": {}, "matched": {}})
)
