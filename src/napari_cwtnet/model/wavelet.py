"""The orthonormal Haar transform on the last two axes of a tensor (Eq. 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cwtnet.model.config import Band

BANDS: tuple[Band, ...] = ("LL", "LH", "HL", "HH")


def dwt(image: Tensor) -> dict[Band, Tensor]:
    """Split an image into its four Haar sub-bands.

    Parameters
    ----------
    image : Tensor
        ``(..., H, W)``, H and W even.

    Returns
    -------
    dict
        ``LL``, ``LH`` (detail across rows), ``HL`` (across columns) and ``HH``, each
        ``(..., H/2, W/2)``. PyWavelets calls them cA, cH, cV and cD. For an image in 0..1, LL is
        in 0..2 and the others in -1..1.

    Raises
    ------
    ValueError
        If H or W is odd.
    """
    if image.shape[-1] % 2 or image.shape[-2] % 2:
        raise ValueError(f"the Haar transform needs even sizes, got {tuple(image.shape)}")
    a, b = image[..., 0::2, 0::2], image[..., 0::2, 1::2]
    c, d = image[..., 1::2, 0::2], image[..., 1::2, 1::2]
    return {
        "LL": (a + b + c + d) / 2,
        "LH": (a + b - c - d) / 2,
        "HL": (a - b + c - d) / 2,
        "HH": (a - b - c + d) / 2,
    }


def idwt(bands: dict[Band, Tensor]) -> Tensor:
    """Put four Haar sub-bands ``(..., h, w)`` together again: ``(..., 2h, 2w)``, exactly."""
    ll, lh, hl, hh = (bands[name] for name in BANDS)
    image = ll.new_empty((*ll.shape[:-2], 2 * ll.shape[-2], 2 * ll.shape[-1]))
    image[..., 0::2, 0::2] = (ll + lh + hl + hh) / 2
    image[..., 0::2, 1::2] = (ll + lh - hl - hh) / 2
    image[..., 1::2, 0::2] = (ll - lh + hl - hh) / 2
    image[..., 1::2, 1::2] = (ll - lh - hl + hh) / 2
    return image


def sub_bands(image: Tensor, names: tuple[Band, ...]) -> Tensor:
    """The named sub-bands of ``(N, 3, H, W)``, stacked: ``(N, 3·len(names), H/2, W/2)``."""
    bands = dwt(image)
    return torch.cat([bands[name] for name in names], dim=1)
