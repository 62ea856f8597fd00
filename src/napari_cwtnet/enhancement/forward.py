"""A tile through the network: again in float32 if half precision fails, in parts for memory."""

from __future__ import annotations

import copy
import logging
import threading
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from napari_cwtnet.enhancement.memory import (
    LARGEST_TILES,
    expected_bytes,
    free_bytes,
    is_out_of_memory,
)
from napari_cwtnet.errors import ModelError, RequestError
from napari_cwtnet.model import Model, Network, NetworkOutput


class Networks:
    """Copies of a model's networks, ready to compute; the model is left alone.

    Those of the chosen precision are made at once, those of float32 when they are first needed.

    Parameters
    ----------
    model : Model
        Whose weights.
    device : torch.device
        Where they are to be.
    dtype : torch.dtype
        Their precision; float32 where the network does not take another.
    """

    def __init__(self, model: Model, device: torch.device, dtype: torch.dtype) -> None:
        self._model, self._device = model, device
        self.dtype = dtype if model.network.takes_half else torch.float32
        self._made: dict[torch.dtype, Network] = {}
        self._lock = threading.Lock()
        self.get()

    def get(self, dtype: torch.dtype | None = None) -> Network:
        """The network, in the chosen precision if none is given."""
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
    """The fastest precision of a device that leaves pictures as good.

    float16 on CUDA devices with tensor cores; bfloat16 on processors that multiply it themselves
    (AVX512-BF16 or AMX), for elsewhere it is emulated; float32 on all others.
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
        If there is no such precision.
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
    # Not every torch has every question, nor every processor an answer.
    questions = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in questions)


SMALLEST_SIDE = 32
"""LR pixels; what cannot be computed so small cannot be computed here."""
_SHARE = 0.5
"""Of the free memory; the rest is for what others, and the next tile, will want."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Passed:
    """What came of a tile."""

    sr: Tensor
    """``(3, s·h, s·w)`` float32, nominally 0..1."""
    repeated: bool = False
    """Whether half precision failed, and float32 did it."""
    parts: int = 1


class Forward:
    """Forward passes of a model on a device.

    Parameters
    ----------
    model : Model
        Whose networks.
    device : torch.device
        Where they compute.
    dtype : torch.dtype
        In which precision.
    """

    def __init__(self, model: Model, device: torch.device, dtype: torch.dtype) -> None:
        self._model, self._device = model, device
        self.networks = Networks(model, device, dtype)
        self.dtype = self.networks.dtype
        self._key = (model.sha256, str(device), self.dtype)
        self._warned: set[str] = set()
        self._lock = threading.Lock()

    def expected_bytes(self, rows: int, columns: int) -> int:
        """Memory that a tile of so many LR pixels takes."""
        return expected_bytes(self._model.network, rows * columns, self.dtype)

    @torch.inference_mode()
    def whole(
        self,
        lr: Tensor,
        reference: Tensor | None,
        told: Tensor | None = None,
        *,
        record: bool = False,
    ) -> tuple[NetworkOutput, bool]:
        """One pass, and whether it had to be repeated in float32.

        Raises
        ------
        ModelError
            If float32 gives values that are not finite either.
        """
        output = self._pass(lr, reference, told, self.dtype, record)
        if _finite(output):
            return output, False
        if self.dtype != torch.float32:
            output = self._pass(lr, reference, told, torch.float32, record)
            if _finite(output):
                self._warn(
                    f"Model {self._model.name!r} gave values that are not finite in "
                    f"{dtype_name(self.dtype)}; such tiles are computed in float32."
                )
                return output, True
        raise ModelError(
            f"Model {self._model.name!r} gave values that are not finite; the weights are "
            "damaged or the device is at fault."
        )

    def tile(self, lr: Tensor, reference: Tensor | None, told: Tensor | None = None) -> Passed:
        """SR of a tile; in parts where it does not fit into the memory.

        Parameters
        ----------
        lr, reference : Tensor
            ``(1, 3, h, w)`` and ``(1, 3, 2h, 2w)``, 0..1.
        told : Tensor, optional
            What is known of their degradation, ``(1, 2, LENGTH)``.

        Raises
        ------
        ModelError
            If float32 gives values that are not finite.
        RequestError
            If not even a small part fits.
        """
        rows, columns = lr.shape[-2:]
        bearable = LARGEST_TILES.side(self._key)
        if bearable is None and not self._fits(rows, columns):
            bearable = self._less(max(rows, columns))
        if bearable is not None and max(rows, columns) > bearable:
            return self._in_parts(lr, reference, told)
        try:
            output, repeated = self.whole(lr, reference, told)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self._less(max(rows, columns), error)
        else:
            return Passed(output.sr[0], repeated)
        # Here the error is gone, and with it what its traceback held.
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return self._in_parts(lr, reference, told)

    def _fits(self, rows: int, columns: int) -> bool:
        if max(rows, columns) <= SMALLEST_SIDE:
            return True
        return self.expected_bytes(rows, columns) <= _SHARE * free_bytes(self._device)

    def _less(self, side: int, error: BaseException | None = None) -> int:
        """Half of a side and the halo that a part needs, remembered for every later tile."""
        halo = self._model.config.halo
        least = max(SMALLEST_SIDE, 2 * halo + 2)
        if side <= least:
            raise RequestError(
                f"Device {str(self._device)!r} ran out of memory even with tiles of {side} × "
                f"{side} LR pixels; release memory, close other programs or choose another device."
            ) from error
        smaller = max(least, side // 2 + halo) if side // 2 + halo < side else least
        LARGEST_TILES.lower(self._key, smaller)
        self._warn(
            f"Device {str(self._device)!r} has too little memory for whole tiles; they are "
            "computed in parts, which takes longer."
        )
        return smaller

    def _in_parts(self, lr: Tensor, reference: Tensor | None, told: Tensor | None) -> Passed:
        """Cut along the longer side, compute both halves with a halo, and put them together."""
        scale, halo = self._model.scale, self._model.config.halo
        axis = -2 if lr.shape[-2] >= lr.shape[-1] else -1
        side = lr.shape[axis]
        cut = side // 4 * 2
        shape = [3, lr.shape[-2] * scale, lr.shape[-1] * scale]
        whole, repeated, parts = torch.empty(shape), False, 0
        for start, stop in ((0, cut), (cut, side)):
            begin, end = max(0, start - halo), min(side, stop + halo)
            if end - begin >= side:
                raise RequestError(
                    f"Device {str(self._device)!r} has too little memory for tiles of {side} LR "
                    "pixels; release memory, close other programs or choose another device."
                )
            part = lr.narrow(axis, begin, end - begin)
            fine = (
                None if reference is None else reference.narrow(axis, 2 * begin, 2 * (end - begin))
            )
            found = self.tile(_packed(part), None if fine is None else _packed(fine), told)
            own = found.sr.narrow(axis, (start - begin) * scale, (stop - start) * scale)
            whole.narrow(axis, start * scale, (stop - start) * scale).copy_(own)
            repeated, parts = repeated or found.repeated, parts + found.parts
        return Passed(whole, repeated, parts)

    def _pass(
        self,
        lr: Tensor,
        reference: Tensor | None,
        told: Tensor | None,
        dtype: torch.dtype,
        record: bool,
    ) -> NetworkOutput:
        network = self.networks.get(dtype)
        known = {"told": told} if self._model.takes_degradation else {}
        output: NetworkOutput = network(lr, reference, record=record, **known)
        blocks = tuple(
            replace(b, query=b.query.float(), key=b.key.float(), relevance=b.relevance.float())
            for b in output.blocks
        )
        return replace(output, blocks=blocks) if blocks else output

    def _warn(self, message: str) -> None:
        with self._lock:
            if message in self._warned:
                return
            self._warned.add(message)
        _log.warning(message)


def _finite(output: NetworkOutput) -> bool:
    # The sum is not finite if one value is not, and takes a tenth of the time of a look at each.
    return bool(torch.isfinite(output.sr.sum()))


def _packed(image: Tensor) -> Tensor:
    return image.contiguous(memory_format=torch.channels_last)
