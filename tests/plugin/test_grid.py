"""After a pan what was computed is found again, and the copied command makes the same pixels."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from napari_cwtnet.cli import main
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from plugin.enhance_help import finish, results


def test_a_pan_shares_the_tiles_and_the_command_says_the_grid(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, tmp_path: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 3
    first = finish(qtbot, dock)
    assert first.cached == 0
    assert "--grid" not in dock.result.copy_command()
    (layer,) = results(viewer)
    own = layer.metadata[RESULT_KEY]["grid"]
    width = layer.metadata[RESULT_KEY]["region"][2]
    y, x = viewer.scene.camera.center[-2:]
    slide = viewer.layers[0]
    viewer.scene.camera.center = (y, x + width / 4 * slide.scale[-1])
    second = finish(qtbot, dock)
    assert second.cached >= second.total / 2
    qtbot.waitUntil(lambda: f" {second.total} tiles." in dock.sentence, timeout=5000)
    (layer,) = results(viewer)
    known = layer.metadata[RESULT_KEY]
    assert known["grid"] == own
    line = dock.result.copy_command()
    assert f"--grid {','.join(map(str, own))}" in line
    words = shlex.split(line)[1:]
    words[words.index("--output") + 1] = str(tmp_path / "shell.png")
    assert main(words) == 0
    with Image.open(tmp_path / "shell.png") as shell:
        assert np.array_equal(np.asarray(shell), layer.data[..., :3])
    other = words.index("--grid")
    del words[other : other + 2]
    words[words.index("--output") + 1] = str(tmp_path / "own.png")
    assert main(words) == 0
    with Image.open(tmp_path / "own.png") as alone:
        assert not np.array_equal(np.asarray(alone), layer.data[..., :3])


def test_a_view_elsewhere_gets_a_grid_of_its_own(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 12
    centre = viewer.scene.camera.center[-2:]
    grids = []
    for factor in (0.5, 1.5):
        viewer.scene.camera.center = tuple(factor * place for place in centre)
        assert finish(qtbot, dock).cached == 0
        assert "--grid" not in dock.result.copy_command()
        grids.append(results(viewer)[0].metadata[RESULT_KEY]["grid"])
    assert grids[0] != grids[1]
