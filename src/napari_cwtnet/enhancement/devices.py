"""Which device computes."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

import psutil
import torch

from napari_cwtnet.enhancement.threads import granted_cores
from napari_cwtnet.errors import RequestError


def list_devices() -> dict[str, str]:
    """Devices that can compute here, best first: torch's name and words for people."""
    found = {}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        found[f"cuda:{index}"] = f"{properties.name}, {memory:.0f} GiB"
    if torch.backends.mps.is_available():
        memory = torch.mps.recommended_max_memory() / 2**30
        found["mps"] = f"Apple GPU, {memory:.0f} GiB shared"
    cores, memory = granted_cores(), psutil.virtual_memory().total / 2**30
    found["cpu"] = f"{_processor()}, {cores:g} core{'' if cores == 1 else 's'}, {memory:.0f} GiB"
    return found


@cache
def _processor() -> str:
    """Its name; ``CPU`` where the system does not tell."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "CPU"


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; ``auto`` is the first of :func:`list_devices`.

    Raises
    ------
    RequestError
        If there is no such device.
    """
    found = list_devices()
    if name == "auto":
        return torch.device(next(iter(found)))
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in found:
        raise RequestError(
            f"Device {name!r} is not here; choose auto or one of {', '.join(found)}."
        )
    return torch.device(wanted)
