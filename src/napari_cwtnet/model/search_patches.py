"""What is the same for every search: patch sums, patch norms, and the index that stays at home."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_EPSILON = 1e-6


def widened(features: Tensor) -> Tensor:
    """The same numbers in a format that can be summed: 16-bit floats become float32."""
    return features.float() if features.element_size() < 4 else features


def patch_sums(image: Tensor) -> Tensor:
    """Sums over 3×3 neighbourhoods, zero outside: ``(N, 1, H, W)`` to the same."""
    return F.avg_pool2d(image, 3, stride=1, padding=1, divisor_override=1)


def patch_norms(features: Tensor) -> Tensor:
    """Euclidean norms of the 3×3 patches of ``(N, C, H, W)``: ``(N, 1, H, W)``, above 0.

    In float32 at least, whatever the features are in.
    """
    squares = patch_sums(widened(features).square().sum(1, keepdim=True))
    # Clamped before the root: its slope at 0 is infinite and would turn gradients into NaN. What is
    # divided by the least must still have a gradient in the features' own format.
    least = max(_EPSILON**2, torch.finfo(features.dtype).tiny)
    return squares.clamp_min(least).sqrt()


def identity_index(features: Tensor) -> Tensor:
    """The index map ``(N, H, W)`` in which every patch is its own match."""
    n, _, height, width = features.shape
    index = torch.arange(height * width, device=features.device)
    return index.view(1, height, width).expand(n, -1, -1)


def padded_rows(features: Tensor, above: int = 0) -> Tensor:
    """Channels last, with a column of zeros on either side and ``above`` rows of them as well.

    Returns
    -------
    Tensor
        ``(N, H + 2 above, W + 2, C)``, contiguous.
    """
    return F.pad(features.permute(0, 2, 3, 1), (0, 0, 1, 1, above, above)).contiguous()
