"""The badge's characters, made before they are needed.

The canvas makes a picture of each character when it is first drawn, some 10 ms each: half a second
for a whole badge, just when the first tile comes. So a few at a time are drawn beforehand, unseen,
while the window is idle; all texts of the canvas share them.
"""

from __future__ import annotations

from typing import Any

from napari.components.overlays import TextOverlay
from qtpy.QtCore import QObject, QTimer

GLYPHS = "cwtnet_badge_glyphs"
_TEXTS = (
    "COMPUTED ORACLE ×0123456789 µm/px from native read at research use only cwtnet-lite · "
    "downsample cross-scale."
)
_CHARACTERS = "".join(sorted(set(_TEXTS)))
_AT_ONCE = 2
_PAUSE_MS = 60


def prepare_badge(viewer: Any, parent: QObject) -> None:
    """Have the characters ready within about a second; ends with ``parent`` if that goes before."""
    if GLYPHS in viewer.canvas.overlays:
        return
    viewer.canvas.overlays[GLYPHS] = TextOverlay(visible=True, opacity=0.0, font_size=10)
    counts = iter(range(_AT_ONCE, len(_CHARACTERS) + _AT_ONCE, _AT_ONCE))
    timer = QTimer(parent)

    def draw_some() -> None:
        overlay = viewer.canvas.overlays.get(GLYPHS)
        count = next(counts, None)
        if overlay is not None and count is not None:
            overlay.text = _CHARACTERS[:count]  # with those before, which may not be drawn yet
            return
        if overlay is not None:
            overlay.visible = False
        timer.stop()
        timer.deleteLater()

    timer.timeout.connect(draw_some)
    timer.start(_PAUSE_MS)
