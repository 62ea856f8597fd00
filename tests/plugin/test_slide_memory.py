"""What the Slide dock remembers between sessions, and one slide shown at a time."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cwtnet.export import Roi
from napari_cwtnet.plugin.reader import read_ahead, read_slides
from napari_cwtnet.plugin.tasks.slide_memory import SLIDES, SlideMemory
from napari_cwtnet.plugin.viewer.rois import shapes_layer
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.plugin.viewer.slides_shown import slides_in
from napari_cwtnet.plugin.viewer.viewport import visible_region
from napari_cwtnet.slides import open_slide

DockOf = Callable[..., Any]


def test_a_pixel_size_is_known_again_of_a_renamed_copy(
    dock_of: DockOf, qtbot: Any, tiff: Path, tmp_path: Path, own_config: Path
) -> None:
    _, dock = dock_of(tiff)
    assert dock.form.form.isRowVisible(dock.form.ask_scanned)
    dock.form.scanned[20].click()
    qtbot.waitUntil(lambda: slide_of(dock.layer).mpp == 0.5, timeout=60000)
    qtbot.waitUntil(lambda: dock.form.overview.has_picture, timeout=60000)
    assert not dock.form.form.isRowVisible(dock.form.ask_scanned)
    assert dock.form.magnification.text() == "20×"
    copy = tmp_path / "another name.tif"
    shutil.copy(tiff, copy)
    again = read_ahead(copy).slide
    assert (again.mpp, again.mpp_note) == (0.5, "set by user")
    ((_, settings, _),) = read_slides(copy)  # dropped on the window
    np.testing.assert_allclose(settings["scale"], (0.5, 0.5))
    SLIDES.set_mpp(again, None)
    assert read_ahead(copy).slide.mpp is None
    assert json.loads((own_config / "slides.json").read_text())["mpp"] == {}


def test_the_pixel_size_is_not_looked_for_in_the_window_s_thread(
    dock_of: DockOf, qtbot: Any, tiff: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    for name in ("set_mpp", "mpp_of", "note_opened", "look"):
        real = getattr(SlideMemory, name)

        def noted(self: SlideMemory, *words: Any, real: Any = real) -> Any:
            threads.append(threading.current_thread())
            return real(self, *words)

        monkeypatch.setattr(SlideMemory, name, noted)
    _, dock = dock_of(tiff)
    dock.form.scanned[40].click()
    qtbot.waitUntil(lambda: slide_of(dock.layer).mpp == 0.25, timeout=60000)
    qtbot.waitUntil(dock.form.recent.isEnabled, timeout=60000)
    assert len(threads) >= 4
    assert threading.main_thread() not in threads


def test_recent_slides_and_the_last_folder(
    dock_of: DockOf, qtbot: Any, tiff: Path, ome: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "gone.tif"
    shutil.copy(tiff, gone)
    SLIDES.note_opened(gone)
    SLIDES.note_opened(tiff)
    gone.unlink()
    viewer, dock = dock_of(ome)
    qtbot.waitUntil(lambda: SLIDES.recent == [ome, tiff], timeout=60000)
    assert SLIDES.folder == ome.parent
    assert dock.form.recent.isEnabled()
    dock._show_recent()
    actions = dock.form.recent_menu.actions()
    assert [action.text() for action in actions] == [ome.name, tiff.name]
    assert actions[1].toolTip() == str(tiff)
    actions[1].trigger()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=60000)
    qtbot.waitUntil(lambda: SLIDES.recent == [tiff, ome], timeout=60000)


@pytest.mark.parametrize("content", ["{", "[]", '{"mpp": {"a": 900, "b": "x"}, "recent": [3]}'])
def test_a_broken_file_is_replaced(own_config: Path, tiff: Path, content: str) -> None:
    own_config.mkdir()
    (own_config / "slides.json").write_text(content)
    memory = SlideMemory()
    with open_slide(tiff) as slide:
        assert memory.mpp_of(slide) is None
        memory.set_mpp(slide, 0.4)
        assert SlideMemory().mpp_of(slide) == 0.4
    assert [path.name for path in own_config.iterdir()] == ["slides.json"]


def test_the_sample_is_fetched_beside_the_window(
    dock_of: DockOf, qtbot: Any, svs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CWTNET_CACHE", str(tmp_path))
    shutil.copy(svs, tmp_path / svs.name)
    viewer, dock = dock_of()
    dock.form.sample.click()
    assert not dock.form.sample.isEnabled()
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=60000)
    qtbot.waitUntil(dock.form.sample.isEnabled, timeout=60000)
    assert slide_of(dock.layer).path == tmp_path / svs.name


def test_one_slide_at_a_time_each_as_it_was_left(
    dock_of: DockOf, qtbot: Any, ome: Path, svs: Path
) -> None:
    viewer, dock = dock_of(ome)
    first = viewer.layers[0]
    shapes = shapes_layer([Roi(((10, 20), (60, 20), (60, 50)))], first, "field")
    viewer.add_layer(shapes)
    viewer.scene.camera.zoom *= 3
    left = visible_region(viewer, first)
    dock.open_slide(svs)
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=60000)
    second = next(layer for layer in slides_in(viewer) if layer is not first)
    assert [first.visible, shapes.visible, second.visible] == [False, False, True]
    assert visible_region(viewer, second) == slide_of(second).bounds  # the camera moves to it
    combo = dock.form.slides
    assert [combo.itemText(i) for i in range(combo.count())] == [ome.name, svs.name]
    assert combo.currentText() == svs.name
    combo.activated.emit(0)
    assert [first.visible, shapes.visible, second.visible] == [True, True, False]
    assert dock.layer == first
    assert combo.currentText() == ome.name
    again = visible_region(viewer, first)
    assert (again.x, again.y, again.width) == pytest.approx((left.x, left.y, left.width))
    viewer.layers.remove(first)
    assert second.visible
    assert dock.layer == second
    qtbot.wait(100)
