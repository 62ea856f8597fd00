"""The virtual screen that GUI tests rely on: without it napari would go on, and draw nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed: pip install 'napari-cwtnet[gui]'")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Xvfb is for Linux")
def test_window_is_on_the_virtual_screen(make_napari_viewer: Callable[..., Any]) -> None:
    from qtpy.QtGui import QGuiApplication

    viewer = make_napari_viewer(show=True)
    size = QGuiApplication.primaryScreen().size()
    assert QGuiApplication.platformName() == "xcb"
    assert (size.width(), size.height()) == (1600, 1000)
    assert viewer.window._qt_window.isVisible()


def test_layer_is_drawn(make_napari_viewer: Callable[..., Any], qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    viewer.add_image(red, rgb=True)
    viewer.reset_view()
    qtbot.wait(300)
    picture = viewer.screenshot(canvas_only=True, flash=False)
    middle = picture[picture.shape[0] // 2, picture.shape[1] // 2, :3]
    np.testing.assert_array_equal(middle, [255, 0, 0])
