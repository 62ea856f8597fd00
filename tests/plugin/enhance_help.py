"""A viewer with a slide and the Enhance dock, and tiny models to run."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch

from napari_cwtnet.model import CwtNet, preset, save_weights
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY

PLUGIN = "napari-cwtnet"
THREAD = "napari-cwtnet enhance"


def write_model(
    folder: Path,
    name: str,
    scale: int,
    *,
    seed: int | None = None,
    purpose: str = "",
    **changes: Any,
) -> Path:
    """A model of one small block: exactly bicubic, or with random weights."""
    network = CwtNet(
        preset("lite", scale, **{"blocks": 1, "channels": 8, "tile": 64, "halo": 12} | changes)
    )
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    path = folder / f"{name}.safetensors"
    save_weights(path, network, {"reference_share": 0.5, "purpose": purpose})
    return path


def results(viewer: Any) -> list[Any]:
    """The computed layers."""
    return [layer for layer in viewer.layers if RESULT_KEY in layer.metadata]


def threads() -> list[threading.Thread]:
    """Enhancements still at work."""
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


def finish(qtbot: Any, dock: Any, begin: Any = None) -> Any:
    """Run ``begin`` (Enhance view, if not given), wait for its end; gives the outcome."""
    with qtbot.waitSignal(dock.controller.ended, timeout=60000) as blocker:
        (begin or dock.enhance_view)()
    return blocker.args[0]


def wait_for_tiles(qtbot: Any, dock: Any, count: int) -> None:
    """Wait until a run has computed some tiles and is still at work."""
    controller = dock.controller
    qtbot.waitUntil(
        lambda: controller.run is not None and controller.run.done >= count, timeout=60000
    )
