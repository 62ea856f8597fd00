"""Haar steps of feature maps, with the sub-bands as channels."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cwtnet.model.wavelet import BANDS, dwt, idwt


def split(features: Tensor) -> Tensor:
    """``(N, C, H, W)`` with even sides to ``(N, 4·C, H/2, W/2)``: all of LL, LH, HL, then HH."""
    bands = dwt(features)
    return torch.cat([bands[name] for name in BANDS], 1)


def joined(packed: Tensor) -> Tensor:
    """What :func:`split` was given, exactly."""
    return idwt(dict(zip(BANDS, packed.chunk(4, 1), strict=True)))
