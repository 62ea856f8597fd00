from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_cwtnet.plugin.viewer.badge import GLYPHS, OVERLAY
from plugin.enhance_help import finish


def test_the_badge_is_drawn_with_characters_that_are_there(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari._vispy.utils.qt_font import QtTextureFont

    made: list[str] = []
    load = QtTextureFont._load_char

    def noted(self: Any, char: str) -> None:
        made.append(char)
        load(self, char)

    monkeypatch.setattr(QtTextureFont, "_load_char", noted)
    viewer, dock = enhance_dock(ome, "tiny-x4", 4.0, show=True)
    qtbot.waitUntil(lambda: not viewer.canvas.overlays[GLYPHS].visible, timeout=20000)
    assert {"C", "×", "µ"} <= set(made)  # prepared here: each viewer has its own
    made.clear()
    viewer.scene.camera.zoom *= 4
    finish(qtbot, dock)
    qtbot.wait(200)
    told = viewer.canvas.overlays[OVERLAY].text
    assert all(words in told for words in ("COMPUTED", " from ", "cross-scale"))
    assert set(made) <= {"y"}  # of the name "tiny-x4"
