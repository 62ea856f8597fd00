"""The fields that a run is measured on, and what start model, bicubic and network make of them."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.metrics import psnr
from napari_cwtnet.model import Model, Network
from napari_cwtnet.training.events import Preview
from napari_cwtnet.training.fields import Field
from napari_cwtnet.training.recipe import Recipe
from napari_cwtnet.training.tissue import sharpness
from napari_cwtnet.training.validation import bicubic_figures, enhanced, enlarged


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """PSNR (dB) without and with reference, the shown field, and the seconds that it took."""

    alone: float
    paired: float | None
    shown: NDArray[np.uint8]
    seconds: float


class HeldOut:
    """Measures a network in each mode that the recipe trains.

    Parameters
    ----------
    fields : list of Field
        No pixel of them is trained on.
    recipe : Recipe
        Its scale, and whether it trains with references.
    start : Model, optional
        Where the run starts from: what the preview shows as before.
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
        """Yields fields done, and how many there are, after each; gives the figures at the end.

        Raises
        ------
        FloatingPointError
            If what the network makes of a field is not finite.
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
        """PSNR (dB) of the bicubic enlargement of LR, and of the reference where there is one."""
        if self._bicubic is None:
            fields, scale = self.fields, self._scale
            self._bicubic = (
                bicubic_figures(fields, scale, of_reference=False).psnr,
                bicubic_figures(fields, scale, of_reference=True).psnr if self._paired else None,
            )
        return self._bicubic

    def preview(self, step: int, now: NDArray[np.uint8]) -> Preview:
        """The shown field as the start model makes it, or bicubic where there is none, and now."""
        field = self.shown
        if self._before is None:
            self._before = (
                enlarged(field, self._scale, of_reference=False)
                if self._start is None
                else enhanced(self._start.network, field, with_reference=False)
            )
        return Preview(step, field.lr, self._before, now, field.truth)
