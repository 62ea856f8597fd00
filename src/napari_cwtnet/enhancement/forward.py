"""One forward pass: the precision it computes in, and float32 where half precision fails."""

from __future__ import annotations

import copy
import logging
import threading
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cwtnet.errors import ModelError, RequestError
from napari_cwtnet.model import Model, Network, NetworkOutput
from napari_cwtnet.slides.backend import Pixels


def to_tensor(image: Pixels, device: torch.device) -> Tensor:
    """An image ``(h, w, 3)`` uint8 as a batch of one, ``(1, 3, h, w)`` float32 in 0..1."""
    tensor = torch.from_numpy(image.copy()).to(device).permute(2, 0, 1)[None]
    return tensor.contiguous(memory_format=torch.channels_last).float().div_(255)


def to_pixels(sr: Tensor) -> Pixels:
    """An image ``(3, h, w)``, nominally 0..1, as ``(h, w, 3)`` uint8."""
    image = sr.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0)
    return np.ascontiguousarray(image.cpu().numpy())


def error_of(output: NetworkOutput) -> NDArray[np.float32] | None:
    """The predicted error of a batch of one, ``(h, w)`` grey levels; None without a head for it."""
    return None if output.error is None else output.error[0, 0].mul(255).cpu().numpy()


class Networks:
    """Copies of a model's network on a device, one a precision; the model stays as it is.

    The chosen precision is copied at once, float32 on first use.

    Parameters
    ----------
    model : Model
        Source of the weights.
    device : torch.device
        Device of the copies.
    dtype : torch.dtype
        Precision; float32 where the network supports no other.
    """

    def __init__(self, model: Model, device: torch.device, dtype: torch.dtype) -> None:
        self._model, self._device = model, device
        self.dtype = dtype if model.network.takes_half else torch.float32
        self._made: dict[torch.dtype, Network] = {}
        self._lock = threading.Lock()
        self.get()

    def get(self, dtype: torch.dtype | None = None) -> Network:
        """The network, by default in the chosen precision."""
        dtype = dtype or self.dtype
        with self._lock:
            if dtype not in self._made:
                self._made[dtype] = self._placed(dtype)
            return self._made[dtype]

    def _placed(self, dtype: torch.dtype) -> Network:
        network = copy.deepcopy(self._model.network)
        network.to(self._device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.eval()


DtypeChoice = Literal["auto", "float32", "bfloat16", "float16"]
_TENSOR_CORES = (7, 0)
"""CUDA's compute capability from which float16 is several times as fast as float32."""


def own_dtype(device: torch.device) -> torch.dtype:
    """The fastest precision of a device that keeps image quality.

    float16 on CUDA devices with tensor cores; bfloat16 on processors that multiply it in hardware
    (AVX512-BF16 or AMX), since others emulate it; float32 on all others.
    """
    if device.type == "cuda":
        capable = torch.cuda.get_device_capability(device) >= _TENSOR_CORES
        return torch.float16 if capable else torch.float32
    return torch.bfloat16 if device.type == "cpu" and _multiplies_bfloat16() else torch.float32


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The precision of that name; ``auto`` is :func:`own_dtype`.

    Raises
    ------
    RequestError
        If the name is unknown.
    """
    if name not in get_args(DtypeChoice):
        raise RequestError(
            f"Precision {name!r} is unknown; choose one of {', '.join(get_args(DtypeChoice))}."
        )
    if name == "auto":
        return own_dtype(device)
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def dtype_name(dtype: torch.dtype) -> str:
    """Name of a precision, as :func:`choose_dtype` takes it."""
    return str(dtype).removeprefix("torch.")


def _multiplies_bfloat16() -> bool:
    # Private functions, missing from some versions of torch.
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in checks)


_log = logging.getLogger(__name__)


class Forward:
    """Forward passes of a model on a device.

    Parameters
    ----------
    model : Model
        Network and weights.
    device : torch.device
        Device to compute on.
    dtype : torch.dtype
        Precision of the features.

    Attributes
    ----------
    device : torch.device
        Where images go in and come out.
    device_name : str
        What computes, as the user names it.
    """

    def __init__(self, model: Model, device: torch.device, dtype: torch.dtype) -> None:
        self.model, self.device = model, device
        self.device_name = str(device)
        self.networks = Networks(model, device, dtype)
        self.dtype = self.networks.dtype
        self._warned: set[str] = set()
        self._lock = threading.Lock()

    @property
    def runtime(self) -> str:
        """The library that computes, with its version."""
        return f"torch {torch.__version__}"

    @torch.inference_mode()
    def run(
        self,
        lr: Tensor,
        reference: Tensor | None,
        degradation: Tensor | None = None,
        *,
        record: bool = False,
    ) -> tuple[NetworkOutput, bool]:
        """The output, and whether it had to be computed again in float32.

        Raises
        ------
        ModelError
            If float32 gives values that are not finite either.
        """
        output = self._pass(lr, reference, degradation, self.dtype, record)
        if _finite(output):
            return output, False
        if self.dtype != torch.float32:
            output = self._pass(lr, reference, degradation, torch.float32, record)
            if _finite(output):
                self.warn(
                    f"Model {self.model.name!r} gave values that are not finite in "
                    f"{dtype_name(self.dtype)}; such tiles are computed in float32."
                )
                return output, True
        raise ModelError(
            f"Model {self.model.name!r} gave values that are not finite; the weights are "
            "damaged or the device is at fault."
        )

    def _pass(
        self,
        lr: Tensor,
        reference: Tensor | None,
        degradation: Tensor | None,
        dtype: torch.dtype,
        record: bool,
    ) -> NetworkOutput:
        network = self.networks.get(dtype)
        more: dict[str, Any] = {"error": True} if self.model.network.predicts_error else {}
        if self.model.takes_degradation:
            more["degradation"] = degradation
        output: NetworkOutput = network(lr, reference, record=record, **more)
        blocks = tuple(
            replace(b, query=b.query.float(), key=b.key.float(), relevance=b.relevance.float())
            for b in output.blocks
        )
        return replace(output, blocks=blocks) if blocks else output

    def warn(self, message: str) -> None:
        """Log a warning, once."""
        with self._lock:
            if message in self._warned:
                return
            self._warned.add(message)
        _log.warning(message)


def _finite(output: NetworkOutput) -> bool:
    # A sum is finite only if every value is, and takes a tenth of the time of checking each.
    total = output.sr.sum()
    if output.error is not None:
        total = total + output.error.sum()
    return bool(torch.isfinite(total))
