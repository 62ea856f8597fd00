"""Results that are deleted while a badge is on the canvas do not end the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from napari_cwtnet.plugin.viewer.computed import RESULT_KEY

PROGRAM = f"""
import os
import napari, numpy
from napari_cwtnet.plugin.viewer.badge import keep_badge
from qtpy.QtCore import QEventLoop, QTimer

def wait(ms):
    loop = QEventLoop()
    QTimer.singleShot(ms, loop.quit)
    loop.exec()

viewer = napari.Viewer()
viewer.add_image(numpy.full((517, 731, 3), 90, numpy.uint8), rgb=True)
keep_badge(viewer)
for number in range(6):
    pixels = numpy.full((650, 438, 4), 200, numpy.uint8)
    known = {{"{RESULT_KEY}": {{"badge": "COMPUTED ×2 · research use only"}}}}
    layer = viewer.add_image(pixels, rgb=True, metadata=known)
    wait(100)
    if number % 2:
        layer.visible = False
        wait(100)
    viewer.layers.remove(layer)
    wait(100)
    print(number, flush=True)
os._exit(0)
"""


def test_a_deleted_result_does_not_end_the_process(tmp_path: Path) -> None:
    """Shown and hidden, in a process of its own: it is the drawing afterwards that ended it."""
    where = {"PYTHONUTF8": "1", "NAPARI_CONFIG": str(tmp_path / "settings.yaml")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True,
        timeout=120, env=os.environ | where,
    )  # fmt: skip
    numbers = [line for line in done.stdout.split() if line.isdigit()]
    assert done.returncode != -signal.SIGSEGV, f"ended after {numbers}"
    assert (done.returncode, numbers[-1:]) == (0, ["5"]), done.stderr
