"""Base classes of all baselines, which take LR alone and return one image."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from napari_cwtnet.model.base import BaseConfig, Network, NetworkOutput
from napari_cwtnet.model.blocks import bicubic
from napari_cwtnet.model.wavelet import BANDS, dwt, idwt

Skip = Literal["none", "bicubic"]
BICUBIC_REACH = 2
"""LR pixels on each side that the bicubic enlargement reads."""

L1_ALONE = {"loss": {"sr": 1.0, "wt": 0.0, "sr_ssim": 0.0, "wt_ssim": 0.0, "pixel": "l1"}}
MSE_ALONE = {"loss": {"sr": 1.0, "wt": 0.0, "sr_ssim": 0.0, "wt_ssim": 0.0, "pixel": "mse"}}


def at_every_scale(**fields: Any) -> dict[int, dict[str, Any]]:
    """The same fields of a preset for ×2, ×4 and ×8."""
    return dict.fromkeys((2, 4, 8), fields)


class BaselineConfig(BaseConfig):
    """A network without a WT branch."""

    wt_branch: Literal[False] = Field(False, description="these networks take no reference")
    skip: Skip = Field(
        "none", description="global skip: none, or the bicubic enlargement of LR is added"
    )
    mean: tuple[float, float, float] | None = Field(
        None, description="RGB mean, 0..1, subtracted from LR and added to SR"
    )


class Baseline(Network):
    """A network of LR alone; subclasses implement :meth:`image`.

    With the bicubic skip, ``last`` (the convolution that outputs the image) starts at zero, so the
    untrained network is the bicubic enlargement.
    """

    config: BaselineConfig
    takes_half = True

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        self.config = config

    def forward(
        self, lr: Tensor, reference: Tensor | None = None, *, record: bool = False
    ) -> NetworkOutput:
        """Super-resolve ``(N, 3, h, w)`` RGB in 0..1; ``record`` has no effect.

        Raises
        ------
        ValueError
            If ``lr`` is not such a batch, or there is a reference.
        """
        del record
        if lr.ndim != 4 or lr.shape[1] != 3 or 0 in lr.shape:
            raise ValueError(f"LR must be (N, 3, h, w), got {tuple(lr.shape)}")
        if reference is not None:
            raise ValueError(f"{self.config.architecture} takes no reference")
        mean = self.config.mean
        centre = None if mean is None else lr.new_tensor(mean).view(1, 3, 1, 1)
        # Weights may be of half precision, the skip is float32.
        given = lr if centre is None else lr - centre
        sr = self.image(given.to(next(self.parameters(), lr).dtype)).to(lr.dtype)
        if self.config.skip == "bicubic":
            sr = sr + bicubic(lr, self.config.scale)
        elif centre is not None:
            sr = sr + centre
        return NetworkOutput(sr=sr)

    @abstractmethod
    def image(self, lr: Tensor) -> Tensor:
        """SR ``(N, 3, s·h, s·w)`` before adding the skip or the mean."""

    def begin_for_relu(self) -> None:
        """He's initialisation, which keeps the variance of features through layers with ReLU."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def begin_at_skip(self, last: nn.Module) -> None:
        """Start the last convolution at zero if there is a skip."""
        if self.config.skip == "bicubic":
            for parameter in last.parameters():
                nn.init.zeros_(parameter)


def split(features: Tensor) -> Tensor:
    """``(N, C, H, W)`` with even sides to ``(N, 4·C, H/2, W/2)``: all of LL, LH, HL, then HH."""
    bands = dwt(features)
    return torch.cat([bands[name] for name in BANDS], 1)


def joined(packed: Tensor) -> Tensor:
    """The exact inverse of :func:`split`."""
    return idwt(dict(zip(BANDS, packed.chunk(4, 1), strict=True)))
