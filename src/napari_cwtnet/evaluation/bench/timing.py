"""Timing of several tasks in turns, so that a busy moment of the machine affects them equally."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from napari_cwtnet.enhancement import dtype_name, own_dtype
from napari_cwtnet.enhancement.devices import free_cores, granted_cores, processor_name


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall seconds of one task, over the rounds."""

    median: float
    least: float
    most: float

    def as_dict(self, digits: int = 5) -> dict[str, float]:
        """Seconds by name."""
        return {
            "median_s": round(self.median, digits),
            "least_s": round(self.least, digits),
            "most_s": round(self.most, digits),
        }


@dataclass(frozen=True, slots=True)
class TimedTask:
    """A function to time, with untimed set-up and clean-up."""

    run: Callable[[], object]
    before: Callable[[], object] = lambda: None
    after: Callable[[], object] = lambda: None


Progress = Callable[[str, int, int], None]
"""Called with the name of the next task, the number of tasks done, and the total."""


def in_turns(
    tasks: Mapping[str, TimedTask], repeats: int, progress: Progress | None = None
) -> dict[str, Timing]:
    """Run every task once a round, each round starting with the next one.

    Parameters
    ----------
    tasks : mapping of str to TimedTask
        The tasks to time, after one uncounted round.
    repeats : int
        Rounds that count, at least 1.
    progress : callable, optional
        Called before each task with its name, the number of tasks done and the total.

    Returns
    -------
    dict of str to Timing
    """
    names = list(tasks)
    spent: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repeats + 1):
        first = turn % len(names)
        for place, name in enumerate(names[first:] + names[:first]):
            if progress is not None:
                progress(name, turn * len(names) + place, (repeats + 1) * len(names))
            tasks[name].before()
            began = time.perf_counter()
            tasks[name].run()
            passed = time.perf_counter() - began
            tasks[name].after()
            if turn > 0:
                spent[name].append(passed)
    return {
        name: Timing(statistics.median(values), min(values), max(values))
        for name, values in spent.items()
    }


_GEMM_SIDE = 1024
_CONV_SIDE, _CONV_CHANNELS = 128, 64
_DTYPES = (torch.float32, torch.bfloat16)


def machine(device: torch.device) -> dict[str, Any]:
    """Description of the machine, as JSON values."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    return {
        "device": str(device),
        "name": name,
        "cores": granted_cores(),
        "free_cores": free_cores(),
        "dtype": dtype_name(own_dtype(device)),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
    }


def peaks(device: torch.device) -> dict[str, tuple[float, TimedTask]]:
    """Floating point operations and the task that performs them: GEMM and 3×3 convolution by dtype.

    A multiplication and an addition count as two.
    """
    found: dict[str, tuple[float, TimedTask]] = {}
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


def _finished(function: Callable[..., torch.Tensor], *given: Any, **more: Any) -> TimedTask:
    @torch.inference_mode()
    def run() -> None:
        result = function(*given, **more)
        result.flatten()[0].item()  # waits for an asynchronous device

    return TimedTask(run)
