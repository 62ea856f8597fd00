"""Which device computes."""

from __future__ import annotations

import torch

from napari_cwtnet.errors import RequestError


def list_devices() -> dict[str, str]:
    """Devices that can compute here, best first: torch's name and words for people."""
    found = {}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        found[f"cuda:{index}"] = f"{properties.name}, {memory:.0f} GiB"
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    found["cpu"] = f"CPU, {torch.get_num_threads()} threads"
    return found


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
