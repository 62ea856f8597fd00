"""Where to believe a computed image, pixel by pixel, and where not to."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from napari_cwtnet.inspection.attention import attention
from napari_cwtnet.inspection.field import Field
from napari_cwtnet.metrics import ssim_map

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

BEST_DB = 60.0
"""Local PSNR is not told apart above this; equal pixels would have infinity."""
_REACH = 5
_SUPPORT = 2


def shrunk(image: Pixels | Floats, height: int, width: int) -> Floats:
    """An image ``(H, W, 3)`` at a coarser size, by the antialiased kernel that reading uses.

    In floating point, so that nothing is rounded; ``(height, width, 3)``, unit of the image.
    """
    planes = [
        Image.fromarray(np.ascontiguousarray(image[..., channel], dtype=np.float32)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for channel in range(3)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def consistency(sr: Pixels | Floats, lr: Pixels) -> Floats:
    """Does SR, shrunk again, say what LR said? ``|D(SR) − LR|``, mean over RGB, grey levels.

    Parameters
    ----------
    sr : ndarray
        ``(s·h, s·w, 3)`` in 0..255.
    lr : ndarray
        ``(h, w, 3)`` uint8.

    Returns
    -------
    ndarray
        ``(h, w)`` float32; NaN in the outermost two pixels, where the kernel wants what lies
        beyond the field.
    """
    height, width = lr.shape[:2]
    found = _mean_size(shrunk(sr, height, width) - lr)
    rim = np.ones((height, width), bool)
    rim[_SUPPORT:-_SUPPORT, _SUPPORT:-_SUPPORT] = False
    found[rim] = np.nan
    return found


def confidence(field: Field) -> Floats:
    """Mean of S over the blocks ``(h, w)``, -1..1: low where little texture was taken over."""
    return attention(field)


def error(field: Field) -> Floats | None:
    """``|SR − truth|``, mean over RGB, grey levels ``(s·h, s·w)``; None where there is no truth."""
    if field.truth is None:
        return None
    return _mean_size(field.sr.astype(np.float32) - field.truth)


def local_psnr(field: Field) -> Floats | None:
    """PSNR in dB of the 11 × 11 pixels around each, weighted as SSIM does; at most 60.

    ``(s·h, s·w)``; None where there is no truth. The image is mirrored at its edge.
    """
    if field.truth is None:
        return None
    squares = (_mirrored(field.sr) - _mirrored(field.truth)).square().mean(1, keepdim=True)
    mean = _smooth(squares)
    return (-10 * mean.clamp_min(10 ** (-BEST_DB / 10)).log10())[0, 0].float().numpy()


def local_ssim(field: Field) -> Floats | None:
    """SSIM of the 11 × 11 pixels around each, mean over RGB, -1..1; as :func:`local_psnr`."""
    if field.truth is None:
        return None
    return ssim_map(_mirrored(field.sr), _mirrored(field.truth))[0].mean(0).float().numpy()


def _mean_size(difference: Floats) -> Floats:
    return np.asarray(np.abs(difference).mean(-1), np.float32)


def _mirrored(image: Pixels) -> Tensor:
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].double() / 255
    return F.pad(tensor, (_REACH, _REACH, _REACH, _REACH), mode="reflect")


def _smooth(image: Tensor) -> Tensor:
    steps = torch.arange(-_REACH, _REACH + 1, dtype=image.dtype)
    weights = torch.exp(-steps.square() / (2 * 1.5**2))
    weights = weights / weights.sum()
    return F.conv2d(F.conv2d(image, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
