"""A model as a plain module of images in and SR out, as other runtimes take it."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from napari_cwtnet.model.base import NetworkOutput
from napari_cwtnet.model.conditioning import LENGTH, degradation_tensor
from napari_cwtnet.model.registry import Model
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation

Precision = Literal["float32", "float16"]


class PortableModel(nn.Module):
    """Images in, SR out: what goes into the graph, with the degradation inside or as an input.

    Parameters
    ----------
    model : Model
        What to export.
    reference : bool
        Whether the graph takes the next-higher level.
    degradation : Degradation, optional
        What the network always knows of its input; None makes it an input, ``told``.
    precision : {"float32", "float16"}
        Of the weights; images are float32 in and out.
    clip : bool
        Whether SR is clipped to 0..1.
    error : bool
        Whether the predicted error is the second output.
    """

    def __init__(
        self,
        model: Model,
        *,
        reference: bool,
        degradation: Degradation | None = UNKNOWN,
        precision: Precision = "float32",
        clip: bool = True,
        error: bool = False,
    ) -> None:
        super().__init__()
        self.network: nn.Module = model.network.to(getattr(torch, precision)).eval()
        self.knows, self.clip, self.error = model.takes_degradation, clip, error
        self.inputs = ["lr"] + ["reference"] * reference
        if self.knows and degradation is None:
            self.inputs.append("told")
        self.known: Tensor
        self.register_buffer(
            "known", degradation_tensor(degradation or UNKNOWN)[None], persistent=False
        )

    def forward(self, lr: Tensor, *others: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """SR ``(N, 3, s·h, s·w)`` of LR ``(N, 3, h, w)`` and what else is named.

        With ``error``, also the predicted error ``(N, 1, h, w)``.
        """
        given = dict(zip(self.inputs[1:], others, strict=True))
        more: dict[str, Any] = {"error": True} if self.error else {}
        if self.knows:
            more["degradation"] = given.get("told", self.known.expand(lr.shape[0], -1, -1))
        output: NetworkOutput = self.network(lr, given.get("reference"), **more)
        sr = output.sr.clamp(0, 1) if self.clip else output.sr
        return sr if output.error is None else (sr, output.error)

    @staticmethod
    def told_shape(batch: int) -> tuple[int, int, int]:
        """Shape of the input ``told``."""
        return batch, 2, LENGTH

    def example(self, side: int) -> tuple[Tensor, ...]:
        """Inputs of the right shapes, ``side`` LR pixels wide and high."""
        shapes = {
            "lr": (1, 3, side, side),
            "reference": (1, 3, 2 * side, 2 * side),
            "told": self.told_shape(1),
        }
        generator = torch.Generator().manual_seed(0)
        return tuple(torch.rand(shapes[name], generator=generator) for name in self.inputs)
