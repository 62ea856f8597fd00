"""Patches cut, coloured, shrunk, sharpened and made noisy on a device, a batch at a time.

All that :class:`napari_cwtnet.training.degrade.PatchMaker` does on the processor before the codec,
within two grey levels: every filter is a matrix product, rounded where Pillow rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from napari_cwtnet.slides.degradation import SHARPENING_SIGMA, Degradation, Kernel, kernel_taps
from napari_cwtnet.training.degrade import Drawn

_BLUR_REACH = 3


def images_on(device: torch.device, truths: Sequence[np.ndarray]) -> list[Tensor]:
    """Images ``(h, w, 3)`` as ``(3, h, w)`` uint8 tensors of a device."""
    return [
        torch.from_numpy(np.ascontiguousarray(truth.transpose(2, 0, 1))).to(device)
        for truth in truths
    ]


def windows(images: Sequence[Tensor], drawn: Sequence[Drawn], side: int) -> Tensor:
    """The squares that were drawn, each of its own image: ``(N, 3, side, side)`` uint8."""
    return _coloured(
        torch.stack([_window(*each, side) for each in zip(images, drawn, strict=True)]), drawn
    )


def shrunk(made: Tensor, degradations: Sequence[Degradation], factor: int) -> Tensor:
    """Images ``(N, 3, h, h)`` shrunk by each one's kernel, sharpened, not yet rounded or noisy."""
    device, side = made.device, made.shape[-1]
    kernels = [each.kernel or Kernel("box") for each in degradations]
    small = made.float()
    if factor > 1:
        matrices = torch.stack([_shrinking(kernel, side, factor, device) for kernel in kernels])
        across = small @ matrices.transpose(1, 2)[:, None]
        # Pillow rounds between its two passes; the Gaussian is not Pillow's
        by_pillow = _column([kernel.name != "gauss" for kernel in kernels], device) > 0
        across = torch.where(by_pillow, _by_pillow(across), across)
        small = matrices[:, None] @ across
        small = torch.where(by_pillow, _by_pillow(small), _levels(small))
    amounts = [each.sharpening or 0.0 for each in degradations]
    if any(amounts):
        blur = _blurring(small.shape[-1], device)
        small = small + _column(amounts, device) * (small - blur @ small @ blur.T)
    return small


def stored(
    small: Tensor, degradations: Sequence[Degradation], generator: torch.Generator
) -> Tensor:
    """What :func:`shrunk` gives with each one's noise, rounded: ``(N, 3, h, w)`` uint8."""
    noise = [each.noise or 0.0 for each in degradations]
    if any(noise):
        drawn = torch.randn(small.shape, generator=generator, device=small.device)
        small = small + _column(noise, small.device) * drawn
    return _levels(small).byte()


def _window(image: Tensor, drawn: Drawn, side: int) -> Tensor:
    part = image[:, drawn.y : drawn.y + drawn.taken, drawn.x : drawn.x + drawn.taken]
    if drawn.resample is not None:
        matrix = _resampling(drawn.resample, drawn.taken, side, image.device)
        part = _by_pillow(matrix @ _by_pillow(part.float() @ matrix.T)).byte()
    part = torch.rot90(part, drawn.turns, (1, 2))
    return part.flip(2) if drawn.mirrored else part


def _coloured(made: Tensor, drawn: Sequence[Drawn]) -> Tensor:
    one, none, as_is = np.ones(3), np.zeros(3), np.arange(3)
    gain, offset, order = (
        torch.from_numpy(np.stack([usual if v is None else v for v in values])).to(made.device)
        for usual, values in (
            (one, [each.gain for each in drawn]),
            (none, [each.offset for each in drawn]),
            (as_is, [each.order for each in drawn]),
        )
    )
    gain, offset = (each.float()[:, :, None, None] for each in (gain, offset))
    values = _levels((made.float() - 128) * gain + 128 + offset).byte()
    return values.gather(1, order.long()[:, :, None, None].expand_as(values))


def _levels(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255)


def _by_pillow(values: Tensor) -> Tensor:
    """Rounded as Pillow does: halves up. They are many, for a 2×2 mean has quarters."""
    return (values + 0.5).floor().clamp(0, 255)


def _column(values: Sequence[float], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None, None]


@lru_cache(maxsize=4096)
def _shrinking(kernel: Kernel, side: int, factor: int, device: torch.device) -> Tensor:
    """``(side / factor, side)``; what lies beyond the edge is as the edge."""
    taps = torch.tensor(kernel_taps(kernel, factor))
    first = torch.arange(side // factor)[:, None] * factor - (len(taps) - factor) // 2
    return _banded(first, taps, side).to(device)


@lru_cache(maxsize=32)
def _blurring(side: int, device: torch.device) -> Tensor:
    offsets = torch.arange(-_BLUR_REACH, _BLUR_REACH + 1)
    taps = torch.exp(-0.5 * (offsets / SHARPENING_SIGMA) ** 2)
    first = torch.arange(side)[:, None] - _BLUR_REACH
    return _banded(first, taps / taps.sum(), side).to(device)


def _banded(first: Tensor, taps: Tensor, side: int) -> Tensor:
    places = (first + torch.arange(len(taps))).clamp(0, side - 1)
    matrix = torch.zeros(len(first), side)
    return matrix.scatter_add_(1, places, taps.float().expand(places.shape))


def _resampling(method: Image.Resampling, before: int, after: int, device: torch.device) -> Tensor:
    """``(after, before)``: Pillow's antialiased reduction, whose weights end at the edge."""
    step = before / after
    centres = (torch.arange(after, device=device)[:, None] + 0.5) * step
    places = (torch.arange(before, device=device) + 0.5 - centres) / step
    weights = _FILTERS[method](places)
    return weights / weights.sum(1, keepdim=True)


def _box(x: Tensor) -> Tensor:
    return ((x > -0.5) & (x <= 0.5)).float()


def _bicubic(x: Tensor) -> Tensor:
    x = x.abs()
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def _lanczos(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 3, torch.sinc(x) * torch.sinc(x / 3), torch.zeros_like(x))


_FILTERS: dict[Image.Resampling, Callable[[Tensor], Tensor]] = {
    Image.Resampling.BOX: _box,
    Image.Resampling.BICUBIC: _bicubic,
    Image.Resampling.LANCZOS: _lanczos,
}
