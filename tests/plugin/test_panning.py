"""Where and when pixels are decoded while a user pans and zooms."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slides.pattern import shift, write_tiff

from napari_cwtnet.plugin.viewer.slide_layer import slide_of

DockOf = Callable[..., Any]


@pytest.fixture
def asynchronous() -> Iterator[None]:
    from napari.settings import get_settings

    get_settings().experimental.async_ = True
    yield
    get_settings().experimental.async_ = False


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the threads that decode, one for each tile."""
    from napari_cwtnet.slides import Slide

    threads: list[str] = []
    decode = Slide._decode

    def noted(self: Slide, *place: int) -> Any:
        threads.append(threading.current_thread().name)
        return decode(self, *place)

    monkeypatch.setattr(Slide, "_decode", noted)
    return threads


def pan_and_zoom(viewer: Any, qtbot: Any) -> None:
    for zoom in (0.5, 1.0, 2.0, 4.0):
        viewer.scene.camera.zoom = zoom
        for x in range(200, 900, 100):
            viewer.scene.camera.center = (0, 400 + x, x)
            qtbot.wait(15)
    qtbot.wait(300)


def test_nothing_is_decoded_on_the_window_s_thread(
    dock_of: DockOf, qtbot: Any, svs: Path, decoding: list[str], asynchronous: None
) -> None:
    viewer, _ = dock_of(svs, show=True)
    viewer.reset_view()
    pan_and_zoom(viewer, qtbot)
    qtbot.waitUntil(lambda: viewer.layers[0].loaded, timeout=10000)
    assert len(decoding) >= 20
    assert threading.main_thread().name not in decoding
    # the picture is there
    viewer.scene.camera.zoom = 2.0
    qtbot.wait(200)
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    assert picture.std() > 20


def test_without_asynchronous_slicing_the_cache_is_used(
    dock_of: DockOf, qtbot: Any, svs: Path, decoding: list[str]
) -> None:
    viewer, _ = dock_of(svs, show=True)
    pan_and_zoom(viewer, qtbot)
    first = len(decoding)
    pan_and_zoom(viewer, qtbot)
    assert len(decoding) == first


def test_a_slide_is_opened_and_shown_without_decoding_on_the_window_s_thread(
    dock_of: DockOf, qtbot: Any, svs: Path, decoding: list[str]
) -> None:
    dock_of(svs)  # not shown: only the coarsest level is asked for
    assert decoding
    assert threading.main_thread().name not in decoding


def test_levels_coincide_on_the_canvas(dock_of: DockOf, qtbot: Any, tmp_path: Path) -> None:
    """The same place, drawn from each level in turn, does not move on the screen."""
    path = write_tiff(tmp_path / "p.tif", (1,))
    viewer, dock = dock_of(path, show=True)
    slide = slide_of(dock.layer)
    from napari_cwtnet.geometry import Size
    from napari_cwtnet.plugin.viewer.tiled_level import ShownLevel, TiledLevel

    sizes = {1: Size(736, 520), 4: Size(184, 130), 8: Size(92, 65)}
    levels = [
        TiledLevel(slide, ShownLevel(d, size, None), pytest.fail) for d, size in sizes.items()
    ]
    dock.layer.data = levels
    dock.layer.interpolation2d = "linear"
    viewer.scene.camera.center = (0, 258, 365)
    viewer.scene.camera.zoom = 2.0
    pictures = []
    for index in range(3):
        dock.layer.locked_data_level = index
        qtbot.wait(300)
        picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
        height, width = picture.shape[:2]
        middle = np.s_[height // 2 - 150 : height // 2 + 150, width // 2 - 200 : width // 2 + 200]
        pictures.append(picture[middle].astype(float))
    for picture in pictures[1:]:
        # in screen pixels, half of a level-0 pixel each; a naive half pixel would be 3 and 7
        assert max(map(abs, shift(pictures[0], picture))) < 0.3
