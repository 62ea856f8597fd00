"""A baseline's weights among the user's models: enhanced with for comparison, not looked into."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_cwtnet import enhance
from napari_cwtnet.model import find_architecture, load_model, save_weights
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from plugin.enhance_help import finish, results


@pytest.fixture
def edsr(models: Path) -> Path:
    """``edsr-x2``, small and with random weights."""
    found = find_architecture("edsr")
    config = found.preset("matched", 2, blocks=1, channels=8, tile=64)
    torch.manual_seed(0)
    network = found.network(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.05)
    save_weights(models / "edsr-x2.safetensors", network, {})
    return models / "edsr-x2.safetensors"


def test_enhance_dock_computes_with_it(
    enhance_dock: Callable[..., Any], qtbot: Any, edsr: Path, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome, "edsr-x2", 2.0)
    viewer.scene.camera.zoom *= 3
    assert finish(qtbot, dock).kind == "done"
    (layer,) = results(viewer)
    known = layer.metadata[RESULT_KEY]
    assert known["badge"].startswith("COMPUTED · 40× from 20×")
    assert "edsr-x2" in known["badge"]
    direct = enhance(slide_of(viewer.layers[0]), known["region"], 2.0, model=load_model(edsr))
    assert np.array_equal(layer.data[..., :3], direct.image)


def test_inspect_dock_says_why_it_cannot_be_looked_into(
    make_napari_viewer: Callable[..., Any], qtbot: Any, edsr: Path, ome: Path
) -> None:
    viewer = make_napari_viewer()
    viewer.open(ome, plugin="napari-cwtnet")
    _, dock = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Inspect")
    viewer.reset_view()
    dock.form.model.setCurrentText("tiny-x2")
    qtbot.waitUntil(dock.panel.view_button.isEnabled)
    dock.form.model.setCurrentText("edsr-x2")
    qtbot.waitUntil(lambda: not dock.panel.view_button.isEnabled())
    assert dock.panel.sentence.text() == (
        "Model 'edsr-x2' is of the architecture edsr, which has no attention to inspect; "
        "choose a CWT-Net."
    )
