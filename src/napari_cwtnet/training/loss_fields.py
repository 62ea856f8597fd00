"""What a recipe says of the loss."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Loss(BaseModel):
    """Eqs. 10 to 12: ``L = sr (L1 + sr_ssim (1 - SSIM)) + wt (L1 + wt_ssim (1 - SSIM))``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sr: float = Field(0.3, ge=0, description="λ1, weight of the image")
    wt: float = Field(0.7, ge=0, description="λ2, weight of the sub-bands")
    sr_ssim: float = Field(0.2, ge=0, description="λ3")
    wt_ssim: float = Field(0.2, ge=0, description="λ4")
    sr_haar: float = Field(0.0, ge=0, description="weight of L1 between Haar detail bands of SR")
    pixel: Literal["l1", "mse"] = Field("l1", description="distance beside SSIM (Table IV)")


class Adversarial(BaseModel):
    """A discriminator that learns to tell SR from truth while the network learns to deceive it.

    After SRGAN (arXiv 1609.04802). Where that compares features of a VGG network, whose weights
    would have to be downloaded, ``details`` compares Haar detail bands: another loss.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weight: float = Field(1e-3, gt=0, description="of the adversarial loss")
    details: float = Field(0.1, ge=0, description="of the L1 between detail bands, three octaves")
    after: int = Field(0, ge=0, description="steps with the plain loss alone before it")
    learning_rate: float = Field(
        3e-4, gt=0, description="Adam's rate for the discriminator, the same to the end"
    )
    channels: int = Field(64, ge=4, le=256, description="of the discriminator's first layer")
