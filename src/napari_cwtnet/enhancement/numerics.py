"""In which precision a device computes best: half of the bits where it has units for them."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from napari_cwtnet.errors import RequestError

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
