"""What the machine can do at most, to hold everything else against."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from napari_cwtnet.enhancement import dtype_name, own_dtype
from napari_cwtnet.enhancement.threads import free_cores, granted_cores
from napari_cwtnet.evaluation.bench.turns import Task

_GEMM_SIDE = 1024
_CONV_SIDE, _CONV_CHANNELS = 128, 64
_DTYPES = (torch.float32, torch.bfloat16)


def machine(device: torch.device) -> dict[str, Any]:
    """What was measured on, as JSON values."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "device": str(device),
        "name": name,
        "cores": granted_cores(),
        "free_cores": free_cores(),
        "dtype": dtype_name(own_dtype(device)),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
    }


def _processor() -> str:
    """Its name where Linux tells it, else what Python knows, which may be the kind alone."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()


def peaks(device: torch.device) -> dict[str, tuple[float, Task]]:
    """Floating point operations, and what does them: a GEMM and a 3×3 convolution by dtype.

    A multiplication and an addition count as two.
    """
    found: dict[str, tuple[float, Task]] = {}
    for dtype in dict.fromkeys((*_DTYPES, own_dtype(device))):
        label = str(dtype).removeprefix("torch.")
        a, b = (torch.rand(_GEMM_SIDE, _GEMM_SIDE, device=device, dtype=dtype) for _ in range(2))
        image = torch.rand(1, _CONV_CHANNELS, _CONV_SIDE, _CONV_SIDE, device=device, dtype=dtype)
        image = image.contiguous(memory_format=torch.channels_last)
        kernel = torch.rand(_CONV_CHANNELS, _CONV_CHANNELS, 3, 3, device=device, dtype=dtype)
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        found[f"gemm {label}"] = (2.0 * _GEMM_SIDE**3, _finished(torch.matmul, a, b))
        found[f"conv 3×3 64→64 {label}"] = (
            2.0 * 9 * (_CONV_CHANNELS * _CONV_SIDE) ** 2,
            _finished(F.conv2d, image, kernel, padding=1),
        )
    return found


def _finished(function: Callable[..., torch.Tensor], *given: Any, **more: Any) -> Task:
    @torch.inference_mode()
    def run() -> None:
        result = function(*given, **more)
        result.flatten()[0].item()  # waits for a device that works by itself

    return Task(run)
