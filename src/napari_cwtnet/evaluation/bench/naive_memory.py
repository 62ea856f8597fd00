"""How much memory the attention takes for a while: each search against the naive way."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from napari_cwtnet.errors import RequestError

_PROGRAM = """
import json, sys
import torch
from napari_cwtnet.evaluation.bench.naive import networks
def told(name):
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
            before = told("VmRSS")
            network(lr)
            found[f"{name}, {side}\u00d7{side}"] = told("VmHWM") - before
print(json.dumps(found))
"""


# Memory given back goes to the system at once, so that no search lives on what another one left.
_GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}


def naive_memory(sides: tuple[int, ...], size: str) -> dict[str, float]:
    """MiB that one pass takes beyond what the process held before it, at the most.

    Of a network of one block, on the processor and in a process of its own: blocks follow one
    another, so that more of them take no more. Only Linux tells a process's peak from a moment on;
    elsewhere nothing is given.

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
        env=os.environ | _GIVE_BACK,
    )
    if run.returncode:
        raise RequestError(f"Memory of the attention not measured: {run.stderr.strip()[-300:]}")
    return {name: round(value / 2**20, 1) for name, value in json.loads(run.stdout).items()}
