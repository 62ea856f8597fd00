"""kill -9 in the middle of an export: nothing half-written under its name, the next one works."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_cwtnet.export import export_image
from napari_cwtnet.slides import open_slide

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
PROGRAM = """
import os, signal, sys
from pathlib import Path
import numpy as np
from napari_cwtnet.export import export_image

path, part = Path(sys.argv[1]), int(sys.argv[2])

def progress(done, total):
    if done == part:
        print(done, total, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

pixels = np.random.default_rng(0).integers(0, 255, (1500, 1700, 3)).astype(np.uint8)
export_image(path, pixels, {"badge": "COMPUTED ×2 · research use only"}, 0.25, progress=progress)
"""


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("name", ["out.ome.tif", "out.ome.zarr"])
def test_killed_while_it_writes(tmp_path: Path, name: str, older: bool) -> None:
    path = tmp_path / name
    record = {"badge": "COMPUTED ×2 · research use only"}
    before = np.full((300, 400, 3), 50, np.uint8)
    if older:
        export_image(path, before, record, 0.25)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), "2"], check=False, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    part, total = map(int, done.stdout.split())
    assert part < total  # in the middle
    seen = [one.name for one in tmp_path.iterdir() if not one.name.startswith(".")]
    assert sorted(seen) == ([name, f"{name}.json"] if older else [])
    if older:
        with open_slide(path) as slide:
            assert tuple(slide.size) == (400, 300)
    after = np.full((200, 300, 3), 90, np.uint8)
    export_image(path, after, record, 0.25)
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(slide.bounds, 1), after)
