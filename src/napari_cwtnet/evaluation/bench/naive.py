"""Baseline for speed: the attention as one would first write it, and the network with it.

The full matrix of relevances over 3×3 patches, unfolded to 9·C numbers each, float32 (as in TTSR).
Only benchmarks and tests use it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_cwtnet.errors import RequestError
from napari_cwtnet.evaluation.bench.timing import TimedTask
from napari_cwtnet.model import CwtNet, NetworkConfig, preset
from napari_cwtnet.model.base import BlockRecord
from napari_cwtnet.model.blocks import CrossScaleBlock

SEARCHES: dict[str, dict[str, object]] = {
    "aligned": {"search": "aligned"},
    "window 8": {"search": "window", "window_radius": 8},
    "full": {"search": "full"},
}


class NaiveBlock(CrossScaleBlock):
    """A CWTB that holds the whole matrix, and unfolds, gathers and folds whole patches."""

    def forward(
        self,
        f_sr: Tensor,
        f_hwt: Tensor | None,
        record: bool = False,
        film: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None, BlockRecord | None]:
        """As :class:`CrossScaleBlock` with the full search."""
        if f_hwt is None or record or film is not None:
            raise ValueError("the naive formulation is for timing whole networks")
        query, key = self.sr(f_sr), self.wt(f_hwt)
        patches = F.unfold(key, 3, padding=1)
        queries = F.normalize(F.unfold(query, 3, padding=1), dim=1).transpose(1, 2)
        relevance, index = (queries @ F.normalize(patches, dim=1)).max(2)
        chosen = patches.gather(2, index[:, None].expand_as(patches))
        texture = F.fold(chosen, query.shape[-2:], 3, padding=1) / self._divisor(patches, query)
        attention = relevance.view(len(query), 1, *query.shape[-2:])
        return query + self.fuse(torch.cat((query, texture), 1)) * attention, key, None

    def _divisor(self, patches: Tensor, query: Tensor) -> Tensor | float:
        if self.config.patch_normalisation == "nine":
            return 9.0
        return F.fold(torch.ones_like(patches), query.shape[-2:], 3, padding=1)


def naive_network(config: NetworkConfig) -> CwtNet:
    """A network of naive blocks; takes the same weights."""
    network = CwtNet(config)
    network.blocks = nn.ModuleList(NaiveBlock(config) for _ in range(config.blocks))
    return network.eval()


def networks(size: str, **changes: Any) -> dict[str, CwtNet]:
    """The untrained ×2 network of a preset with every search, and the naive one."""
    found = {
        name: CwtNet(preset(size, 2, **(changes | search))).eval()
        for name, search in SEARCHES.items()
    }
    for network in found.values():
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return found | {"naive": naive_network(preset(size, 2, **changes))}


def against_naive(sides: tuple[int, ...], device: torch.device, size: str) -> dict[str, TimedTask]:
    """One LR tile of each side through the ×2 network of preset ``size``, by search and naively.

    The network is untrained: time does not depend on its weights.
    """
    tasks: dict[str, TimedTask] = {}
    for side in sides:
        lr = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
        for name, network in networks(size).items():
            fits = lr if name == "naive" else lr.contiguous(memory_format=torch.channels_last)
            tasks[f"{name}, {side}×{side}"] = _pass(network.to(device), fits)
    return tasks


def _pass(network: CwtNet, lr: Tensor) -> TimedTask:
    @torch.inference_mode()
    def run() -> float:
        return float(network(lr).sr.flatten()[0])

    return TimedTask(run)


_PROGRAM = """
import json, sys
import torch
from napari_cwtnet.evaluation.bench.naive import networks
def memory_of(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024
size, *sides = sys.argv[1:]
found = {}
with torch.inference_mode():
    for name, network in networks(size, blocks=1).items():
        network(torch.rand(1, 3, 16, 16))
        for side in map(int, sides):
            lr = torch.rand(1, 3, side, side)
            with open("/proc/self/clear_refs", "w") as peak:
                peak.write("5")
            before = memory_of("VmRSS")
            network(lr)
            found[f"{name}, {side}\u00d7{side}"] = memory_of("VmHWM") - before
print(json.dumps(found))
"""


# Freed memory returns to the system at once, so that no search reuses memory of another.
_TRIM_AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}


def naive_memory(sides: tuple[int, ...], size: str) -> dict[str, float]:
    """Peak MiB of one pass, above what the process held before it.

    Measured for a network of one block, on the CPU and in a process of its own; more blocks need
    no more, since they run one after another. Only Linux can reset a process's peak; elsewhere
    the result is empty.

    Parameters
    ----------
    sides : tuple of int
        Sides of the LR tile, pixels.
    size : str
        Preset of the network.

    Returns
    -------
    dict of str to float
        By search and tile, named as in :func:`against_naive`.

    Raises
    ------
    RequestError
        If the run fails.
    """
    if not os.access("/proc/self/clear_refs", os.W_OK):
        return {}
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM, size, *map(str, sides)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | _TRIM_AT_ONCE,
    )
    if run.returncode:
        raise RequestError(f"Memory of the attention not measured: {run.stderr.strip()[-300:]}")
    return {name: round(value / 2**20, 1) for name, value in json.loads(run.stdout).items()}
