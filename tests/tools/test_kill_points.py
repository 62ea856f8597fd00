"""A few kill points of each kind, on the way to all of them: see the tool."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "kill_points.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize(
    ("scenario", "every"),
    [
        ("export ome.tif over", 5),
        ("export ome.zarr over", 9),
        ("whole slide ome.zarr over", 29),
        ("finetune", 31),
        ("dataset", 13),
    ],
)
def test_killed_before_some_of_its_operations(scenario: str, every: int) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, scenario, "--every", str(every)],
        check=False, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert " right" in done.stdout
