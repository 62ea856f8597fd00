"""PSNR on fields that training never sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cwtnet.metrics import psnr
from napari_cwtnet.model.network import CwtNet
from napari_cwtnet.model.resample import bicubic
from napari_cwtnet.training.fields import Field, batch_of


def to_image(tensor: Tensor) -> NDArray[np.uint8]:
    """``(1, 3, H, W)`` in 0..1 to ``(H, W, 3)`` uint8, rounded and clipped."""
    array = tensor[0].float().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0)
    return np.ascontiguousarray(array.cpu().numpy())


def centre_crops(fields: Sequence[Field], scale: int, side: int) -> list[Field]:
    """The middle ``side × side`` LR pixels of each field, or all of a smaller one."""
    crops = []
    for field in fields:
        height, width = field.lr.shape[:2]
        h, w = min(side, height), min(side, width)
        y, x = (height - h) // 2, (width - w) // 2
        parts = [
            image[f * y : f * (y + h), f * x : f * (x + w)]
            for image, f in ((field.lr, 1), (field.reference, 2), (field.truth, scale))
        ]
        crops.append(Field(field.name, *parts))
    return crops


@torch.no_grad()
def mean_psnr(network: CwtNet, fields: Sequence[Field], *, with_reference: bool) -> float:
    """Mean PSNR (dB) of the network over ``fields``, cropped by the scale."""
    scale = network.config.scale
    values = []
    for field in fields:
        batch = batch_of(field)
        output = network(batch.lr, batch.reference if with_reference else None)
        values.append(psnr(to_image(output.sr), field.truth, scale))
    return float(np.mean(values))


def mean_psnr_bicubic(fields: Sequence[Field], scale: int, *, of_reference: bool) -> float:
    """Mean PSNR (dB) of the bicubic enlargement of LR, or of the reference."""
    values = []
    for field in fields:
        batch = batch_of(field)
        enlarged = bicubic(batch.reference, scale / 2) if of_reference else bicubic(batch.lr, scale)
        values.append(psnr(to_image(enlarged), field.truth, scale))
    return float(np.mean(values))
