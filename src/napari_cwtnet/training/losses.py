"""The loss of the paper (Eqs. 10 to 14)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from napari_cwtnet.metrics import ssim_map
from napari_cwtnet.model.base import Network, NetworkOutput
from napari_cwtnet.model.config import Band
from napari_cwtnet.model.wavelet import sub_bands
from napari_cwtnet.training.fields import Batch
from napari_cwtnet.training.recipe import Loss

_DETAILS: tuple[Band, ...] = ("LH", "HL", "HH")


def distance(image: Tensor, truth: Tensor, ssim_weight: float, pixel: str) -> Tensor:
    """Pixel distance plus ``ssim_weight · (1 - SSIM)``, a scalar."""
    near = F.l1_loss(image, truth) if pixel == "l1" else F.mse_loss(image, truth)
    if ssim_weight == 0:
        return near
    return near + ssim_weight * (1 - ssim_map(image, truth).mean())


def total_loss(network: Network, output: NetworkOutput, batch: Batch, loss: Loss) -> Tensor:
    """L (Eq. 10), a scalar; the WT term is left out where there is no WT branch."""
    total = loss.sr * distance(output.sr.float(), batch.truth, loss.sr_ssim, loss.pixel)
    if loss.sr_haar > 0:
        found, wanted = (sub_bands(i, _DETAILS) for i in (output.sr.float(), batch.truth))
        total = total + loss.sr * loss.sr_haar * F.l1_loss(found, wanted)
    if output.wt is not None and loss.wt > 0:
        target = network.wt_target(batch.reference)
        total = total + loss.wt * distance(output.wt.float(), target, loss.wt_ssim, loss.pixel)
    return total
