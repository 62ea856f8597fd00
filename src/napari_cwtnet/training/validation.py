"""Validation: PSNR on fields that training never sees."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cwtnet.enhancement.forward import to_pixels
from napari_cwtnet.metrics import psnr, ssim
from napari_cwtnet.model import Model
from napari_cwtnet.model.base import Network, NetworkOutput
from napari_cwtnet.model.blocks import bicubic
from napari_cwtnet.training.events import Preview
from napari_cwtnet.training.fields import Batch, Field, batch_of
from napari_cwtnet.training.recipe import Recipe
from napari_cwtnet.training.slide_fields import sharpness


def forward(
    network: Network, batch: Batch, *, with_reference: bool, error: bool = False
) -> NetworkOutput:
    """A forward pass, with the known degradation where the network takes it."""
    reference = batch.reference if with_reference else None
    lr = batch.lr.contiguous(memory_format=torch.channels_last)
    more: dict[str, Any] = {"error": True} if error else {}
    if network.takes_degradation and batch.degradation is not None:
        known = batch.degradation
        if not with_reference:
            known = known * known.new_tensor([1.0, 0.0]).view(1, 2, 1)
        more["degradation"] = known
    return network(lr, reference, **more)  # type: ignore[no-any-return]


def centre_crops(fields: Sequence[Field], scale: int, side: int) -> list[Field]:
    """The middle ``side × side`` LR pixels of each field, or all of a smaller one."""
    crops = []
    for field in fields:
        height, width = field.lr.shape[:2]
        h, w = min(side, height), min(side, width)
        crops.append(field.crop((height - h) // 2, (width - w) // 2, h, w, scale))
    return crops


@torch.no_grad()
def enhanced(network: Network, field: Field, *, with_reference: bool) -> NDArray[np.uint8]:
    """The network's SR of a field, ``(H, W, 3)`` uint8.

    Raises
    ------
    FloatingPointError
        If it is not finite.
    """
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    batch = batch_of(field).to(device)
    sr = forward(network, batch, with_reference=with_reference).sr
    if not bool(sr.isfinite().all()):
        raise FloatingPointError(f"the network's output for {field.name} is not finite")
    return to_pixels(sr[0].float())


def enlarged(field: Field, scale: int, *, of_reference: bool) -> NDArray[np.uint8]:
    """Bicubic enlargement of LR, or of the reference, to the size of the truth."""
    batch = batch_of(field)
    image = bicubic(batch.reference, scale / 2) if of_reference else bicubic(batch.lr, scale)
    return to_pixels(image[0])


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over fields: PSNR in dB, SSIM."""

    psnr: float
    ssim: float


def network_figures(network: Network, fields: Sequence[Field], *, with_reference: bool) -> Figures:
    """Figures of the network over ``fields``, cropped by the scale."""
    images = (enhanced(network, field, with_reference=with_reference) for field in fields)
    return _figures(images, fields, network.config.scale)


def bicubic_figures(fields: Sequence[Field], scale: int, *, of_reference: bool) -> Figures:
    """Figures of the bicubic enlargement of LR, or of the reference."""
    images = (enlarged(field, scale, of_reference=of_reference) for field in fields)
    return _figures(images, fields, scale)


def _figures(images: Iterable[NDArray[np.uint8]], fields: Sequence[Field], scale: int) -> Figures:
    pairs = [
        (psnr(image, field.truth, scale), ssim(image, field.truth, scale))
        for image, field in zip(images, fields, strict=True)
    ]
    values = zip(*pairs, strict=True)
    return Figures(*(float(np.mean(of_one)) for of_one in values))


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """PSNR (dB) without and with reference, the shown field, and the seconds it took."""

    alone: float
    paired: float | None
    shown: NDArray[np.uint8]
    seconds: float


class Validator:
    """Measures a network in each mode that the recipe trains.

    Parameters
    ----------
    fields : list of Field
        Held-out fields.
    recipe : Recipe
        For its scale, and whether it trains with references.
    start : Model, optional
        The start model, shown as "before" in the preview.
    """

    def __init__(self, fields: list[Field], recipe: Recipe, start: Model | None) -> None:
        self.fields = fields
        self._scale = recipe.scale
        self._paired = recipe.reference_share > 0
        self._start = start
        self._bicubic: tuple[float, float | None] | None = None
        self._shown = int(np.argmax([sharpness(field.truth) for field in fields]))
        self._before: NDArray[np.uint8] | None = None

    @property
    def shown(self) -> Field:
        """The field of the preview, always the same: the sharpest."""
        return self.fields[self._shown]

    def measure(self, network: Network) -> Generator[tuple[int, int], None, Measured]:
        """Yield the number of fields done and the total after each; return the figures.

        Raises
        ------
        FloatingPointError
            If the network's output is not finite.
        """
        modes = (False, True) if self._paired else (False,)
        total, done, spent = len(modes) * len(self.fields), 0, 0.0
        means: dict[bool, float] = {}
        shown: NDArray[np.uint8] | None = None
        for mode in modes:
            values = []
            for index, field in enumerate(self.fields):
                began = time.perf_counter()
                image = enhanced(network, field, with_reference=mode)
                values.append(psnr(image, field.truth, self._scale))
                if index == self._shown and not mode:
                    shown = image
                spent += time.perf_counter() - began
                done += 1
                yield done, total
            means[mode] = float(np.mean(values))
        if shown is None:
            raise AssertionError("the shown field is always measured")
        return Measured(means[False], means.get(True), shown, spent)

    def bicubic(self) -> tuple[float, float | None]:
        """PSNR (dB) of the bicubic enlargement of LR, and of the reference if used."""
        if self._bicubic is None:
            fields, scale = self.fields, self._scale
            self._bicubic = (
                bicubic_figures(fields, scale, of_reference=False).psnr,
                bicubic_figures(fields, scale, of_reference=True).psnr if self._paired else None,
            )
        return self._bicubic

    def preview(self, step: int, now: NDArray[np.uint8]) -> Preview:
        """The shown field by the start model (or bicubic) and now."""
        field = self.shown
        if self._before is None:
            self._before = (
                enlarged(field, self._scale, of_reference=False)
                if self._start is None
                else enhanced(self._start.network, field, with_reference=False)
            )
        return Preview(step, field.lr, self._before, now, field.truth)
