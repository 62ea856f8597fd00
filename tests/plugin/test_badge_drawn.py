"""The badge comes and goes with computed layers, in a window that is drawn each time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_cwtnet.plugin.badge import RESULT_KEY, keep_badge, shown_badge

BADGE = "COMPUTED ×2 · 0.125 µm/px from native 0.25 · tiny-x2 · research use only"
PROGRAM = f"""
import napari, numpy, os
from napari_cwtnet.plugin.badge import keep_badge
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
    layer = viewer.add_image(pixels, rgb=True, metadata={{"{RESULT_KEY}": {{"badge": "{BADGE}"}}}})
    wait(100)
    viewer.layers.remove(layer)
    wait(100)
    print(number, flush=True)
os._exit(0)
"""


def test_results_that_are_deleted_do_not_end_the_process(tmp_path: Path) -> None:
    """In a process of its own: it was the drawing that ended it."""
    where = {"PYTHONUTF8": "1", "NAPARI_CONFIG": str(tmp_path / "settings.yaml")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True,
        timeout=120, env=os.environ | where,
    )  # fmt: skip
    assert done.returncode != -signal.SIGSEGV, f"ended after {done.stdout.split()}"
    assert (done.returncode, done.stdout.split()[-1]) == (0, "5"), done.stderr


def test_nothing_is_seen_of_a_badge_that_says_nothing(
    make_napari_viewer: Callable[..., Any], qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.full((100, 100, 3), 90, np.uint8), rgb=True)
    qtbot.wait(200)
    without = viewer.screenshot(flash=False)[..., :3].astype(int)
    keep_badge(viewer)
    qtbot.wait(200)
    assert abs(viewer.screenshot(flash=False)[..., :3] - without).max() <= 1
    layer = viewer.add_image(
        np.zeros((9, 9, 4), np.uint8), rgb=True, metadata={RESULT_KEY: {"badge": BADGE}}
    )
    qtbot.wait(200)
    assert shown_badge(viewer) == BADGE
    assert abs(viewer.screenshot(flash=False)[..., :3] - without).max() > 50
    viewer.layers.remove(layer)
    qtbot.wait(200)
    assert abs(viewer.screenshot(flash=False)[..., :3] - without).max() <= 1
