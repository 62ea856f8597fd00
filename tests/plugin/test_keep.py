"""A result that is kept stays as it is, whatever is enhanced next."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_cwtnet.plugin.reader import reopened, replace_in
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.export import exportable
from napari_cwtnet.plugin.viewer.selection import shown_result
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from plugin.enhance_help import finish, results, wait_for_tiles


def test_the_next_run_makes_a_layer_of_its_own(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, messages: list[str]
) -> None:
    viewer, dock = enhance_dock(ome)
    dock.result.keep()
    assert "no result to keep" in messages[-1]
    viewer.scene.camera.zoom *= 4
    finish(qtbot, dock)
    (kept,) = results(viewer)
    assert kept.name == "COMPUTED ×2 0.125 µm/px · pattern.ome · tiny-x2"
    pixels, known = kept.data.copy(), dict(kept.metadata[RESULT_KEY])
    dock.result.keep_button.click()
    assert kept.name.endswith("tiny-x2 · kept")
    dock.result.keep()
    assert "is kept already" in messages[-1]
    viewer.scene.camera.zoom *= 2
    for _ in range(2):
        finish(qtbot, dock)
    first, second = results(viewer)
    assert first == kept
    assert np.array_equal(kept.data, pixels)
    assert kept.metadata[RESULT_KEY] == known
    assert second.data.shape != pixels.shape
    viewer.layers.selection.active = kept
    assert exportable(shown_result(viewer))[1]["region"] == known["region"]
    dock.compare.comparer.choose("split")
    assert kept.visible
    assert not second.visible
    dock.compare.comparer.choose(None)
    viewer.layers[0].scale = (0.5, 0.5)
    assert tuple(kept.scale) == (0.25, 0.25)  # it goes on lying on its slide


def test_a_run_that_was_about_to_replace_it_goes_elsewhere(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 4
    finish(qtbot, dock)
    (kept,) = results(viewer)
    shape = kept.data.shape
    viewer.scene.camera.zoom *= 2
    with qtbot.waitSignal(dock.controller.ended, timeout=60000):
        dock.enhance_view()
        dock.result.keep()
    assert kept.data.shape == shape
    assert len(results(viewer)) == 2


def test_one_that_a_newer_request_cut_short_says_so_in_its_name(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    dock.enhance_view()
    wait_for_tiles(qtbot, dock, 3)
    qtbot.waitUntil(lambda: results(viewer) != [], timeout=10000)
    dock.result.keep()
    viewer.scene.camera.zoom *= 8
    finish(qtbot, dock)
    kept, whole = results(viewer)
    known = kept.metadata[RESULT_KEY]
    assert known["tiles_done"] < known["tiles"]
    assert kept.name.endswith(f"kept · {known['tiles_done']} of {known['tiles']} tiles")
    replace_in(viewer, viewer.layers[0], reopened(slide_of(viewer.layers[0]), mpp=0.5, icc=True))
    assert "0.25 µm/px" in kept.name
    assert kept.name.endswith(f"kept · {known['tiles_done']} of {known['tiles']} tiles")
    assert whole.name.endswith("tiny-x2")


def test_deleted_layers_are_let_go(enhance_dock: Callable[..., Any], qtbot: Any, ome: Path) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 8
    finish(qtbot, dock)
    dock.result.keep()
    finish(qtbot, dock)
    held = [weakref.ref(layer) for layer in results(viewer)]
    assert len(held) == 2
    del viewer.layers[1:]
    gc.collect()
    assert [ref() for ref in held] == [None, None]


def test_a_layer_that_was_deleted_as_its_next_run_began_can_be_kept(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 8
    finish(qtbot, dock)
    with qtbot.waitSignal(dock.controller.ended, timeout=60000):
        dock.enhance_view()
        del viewer.layers[1]
    (again,) = results(viewer)
    dock.result.keep()
    assert again.name.endswith("kept")
