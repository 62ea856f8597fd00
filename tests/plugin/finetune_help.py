"""A slide that a small model learns from within seconds, and waiting for runs in the dock."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import yaml
from safetensors import safe_open

from napari_cwtnet.model import CwtNet, preset, save_weights

QUICK = {
    "patch": 16,
    "batch": 2,
    "validate_every": 3,
    "warm_up": 2,
    "learning_rate": 1e-3,
    "ema": 0.5,
}


def write_slide(path: Path) -> Path:
    """Flat tiles of 4 × 4 pixels in two colours, 768 × 192, 0.5 µm/px: edges to learn."""
    bits = np.random.default_rng(0).integers(0, 2, (48, 192)).repeat(4, 0).repeat(4, 1)
    pixels = np.array([[230, 200, 220], [90, 40, 120]], np.uint8)[bits]
    tifffile.imwrite(
        path, pixels, photometric="rgb", tile=(128, 128), resolution=(20_000, 20_000),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


def write_start(folder: Path, name: str = "start") -> Path:
    """A single-image model that is exactly bicubic, so that there is something to gain."""
    network = CwtNet(preset("lite", 2, blocks=1, channels=8, tile=64, halo=12))
    path = folder / f"{name}.safetensors"
    save_weights(path, network, {"reference_share": 0.0})
    return path


def write_recipe(folder: Path, **fields: Any) -> Path:
    """Fields of a recipe that runs quickly."""
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(QUICK | fields), encoding="utf-8")
    return path


def finish(qtbot: Any, dock: Any, begin: Any = None) -> Any:
    """Run ``begin`` (Start, if not given), wait for its end; gives the outcome."""
    with qtbot.waitSignal(dock.controller.ended, timeout=60000) as blocker:
        (begin or dock.start)()
    return blocker.args[0]


def wait_for_step(qtbot: Any, dock: Any, step: int) -> Any:
    """Wait until a run has come to a step and is still at work; gives the run."""
    run = dock.controller.run
    qtbot.waitUntil(lambda: run.step >= step or run.outcome is not None, timeout=60000)
    assert run.outcome is None, run.outcome
    return run


def progress_in(folder: Path) -> dict[str, Any]:
    """What the state in a run's folder says."""
    with safe_open(folder / "last.safetensors", framework="pt") as archive:
        return json.loads(archive.metadata()["progress"])


def no_run_is_left() -> bool:
    """Whether all threads of fine-tunings have ended."""
    return not any(one.name == "napari-cwtnet finetune" for one in threading.enumerate())
