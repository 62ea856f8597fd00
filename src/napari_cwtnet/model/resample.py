"""Bicubic resampling of tensors with the antialiased kernel (a = -0.5) of slide reading."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def bicubic(image: Tensor, factor: float) -> Tensor:
    """Resize ``(N, C, H, W)`` by ``factor`` along both axes, aligned on the outer corners.

    Enlarging interpolates; shrinking widens the kernel, as Pillow's ``BICUBIC`` does. Values may
    overshoot the input's range.
    """
    height, width = (round(side * factor) for side in image.shape[-2:])
    if factor == 1:
        return image
    # torch has no antialiased kernel for bfloat16
    exact = image.float() if image.dtype in (torch.bfloat16, torch.float16) else image
    resized = F.interpolate(exact, size=(height, width), mode="bicubic", antialias=True)
    return resized.to(image.dtype)
