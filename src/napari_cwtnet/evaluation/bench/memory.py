"""Peak memory by the size of the output, each size in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from napari_cwtnet.errors import RequestError

MEGAPIXELS = (1, 4, 16)
_PROGRAM = """
import contextlib, json, sys
from pathlib import Path
import psutil
from napari_cwtnet import enhance, load_model, open_slide
path, name, side, device = sys.argv[1:]

def forget_peak():
    # What the system has kept so far may be that of the process that this one was forked from.
    with contextlib.suppress(OSError):  # not every container lets it
        Path("/proc/self/clear_refs").write_text("5")

def peak():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])

with open_slide(path) as slide:
    model = load_model(name)
    settings = dict(model=model, reference="none", device=device, skip_background=False)
    enhance(slide, (0, 0, 32, 32), 1, **settings)
    before = psutil.Process().memory_info().rss
    forget_peak()
    length = int(side) / model.scale
    enhance(slide, (0, 0, length, length), 1, **settings)
print(json.dumps([before, peak()]))
"""


def memory(
    path: Path,
    model: str,
    device: str,
    megapixels: tuple[int, ...] = MEGAPIXELS,
    told: Callable[[int], None] | None = None,
) -> dict[int, dict[str, float]]:
    """MiB of host memory at the most, by megapixels of output.

    ``started`` is what a process holds that has enhanced one small tile, ``peak`` the most that it
    held while it enhanced the corner of the slide at native. ``told`` hears each size before its
    run.

    Raises
    ------
    RequestError
        If a run fails, or the system does not tell a process's peak (all but Linux).
    """
    if sys.platform != "linux":
        raise RequestError("Only Linux tells a process's peak memory; leave memory out.")
    found = {}
    for size in megapixels:
        if told is not None:
            told(size)
        side = round((size * 2**20) ** 0.5)
        run = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(path), model, str(side), device],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise RequestError(
                f"Memory run of {size} megapixels failed: {run.stderr.strip()[-300:]}"
            )
        before, most = (value / 2**20 for value in json.loads(run.stdout))
        found[size] = {"started_mib": round(before, 1), "peak_mib": round(most, 1)}
    return found
