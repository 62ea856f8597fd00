"""The mark on the canvas that says what is computed, for as long as any of it can be seen."""

from __future__ import annotations

import textwrap
from typing import Any

from napari.components.overlays import TextOverlay
from qtpy.QtCore import QObject, QTimer

from napari_cwtnet.plugin.viewer.canvas import keep_removal_safe
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY, is_computed
from napari_cwtnet.plugin.viewer.in_place import keep_in_place
from napari_cwtnet.plugin.viewer.viewport import follow_transform, is_in_view

OVERLAY = "cwtnet_badge"
_CHARACTER = 10.0
"""Width of a character, screen pixels; rather too much than too little."""
_NAMED = 2
"""How many badges are named besides the topmost."""


def keep_badge(viewer: Any) -> None:
    """Show the badge of every computed layer in view, from now on, whatever becomes of the docks.

    Results are kept in their place, too. The badge is an overlay of its own: the user's text
    overlay stays as it is.
    """
    if OVERLAY not in viewer.canvas.overlays:
        keep_removal_safe(viewer)
        keep_in_place(viewer)
        # Visible once: napari then makes its drawing now, and not with the first tile, when it
        # would hold the window up for a third longer.
        viewer.canvas.overlays[OVERLAY] = TextOverlay(
            position="top_center", font_size=10, color="white", box=True, box_color="#7a1f1fe6",
            visible=True,
        )  # fmt: skip

        def update(*_: Any) -> None:
            update_badge(viewer)

        def watch(layer: Any) -> None:
            if is_computed(layer):
                layer.events.visible.connect(update)
                follow_transform(layer, update)

        def added(event: Any) -> None:
            watch(event.value)
            update()

        camera = viewer.scene.camera
        for event in (
            viewer.layers.events.removed,
            viewer.layers.events.reordered,
            viewer.canvas.events.size,
            camera.events.center,
            camera.events.zoom,
        ):
            event.connect(update)
        viewer.layers.events.inserted.connect(added)
        for layer in viewer.layers:
            watch(layer)
        update()


def update_badge(viewer: Any) -> None:
    """Write the badges of the computed layers in view on the canvas, topmost first.

    The topmost in full with the title of its map, the next ones shortly, so that the box stays
    small however many there are.
    """
    shown = [layer for layer in reversed(viewer.layers) if is_computed(layer) and layer.visible]
    shown = [layer for layer in shown if is_in_view(viewer, layer)]
    known = [layer.metadata[RESULT_KEY] for layer in shown]
    badges = list(dict.fromkeys(one["badge"] for one in known))
    title = next((one["title"] for one in known if "title" in one), "")
    overlay = viewer.canvas.overlays.get(OVERLAY)
    if overlay is None:
        return
    if badges:
        overlay.text = _words(badges, title, int(viewer.canvas.size[1] / _CHARACTER))
    overlay.visible = bool(badges)


def _words(badges: list[str], title: str, fitting: int) -> str:
    lines = [*_wrapped(badges[0], fitting), *textwrap.wrap(title, fitting)]
    if len(badges) > 1:
        others = [_short(badge) for badge in badges[1 : 1 + _NAMED]]
        more = len(badges) - 1 - len(others)
        others += [f"{more} more"] if more else []
        lines += _wrapped(f"also {' · '.join(others)}", fitting)
    # The canvas draws text some percent wider than the box that it lays around it.
    margin = " " * (2 + max(map(len, lines)) // 20)
    return "\n".join(f"{margin}{line}{margin}" for line in lines)


def _short(badge: str) -> str:
    """Fineness, mode and model of a badge.

    >>> _short("COMPUTED · 40× from 20× · 0.25 µm/px · cwtnet-lite-x2 · research use only")
    '40× 0.25 µm/px cwtnet-lite-x2'
    >>> _short("COMPUTED · ×4 · downsample 1 from 4 · cross-scale · a · research use only")
    '×4 downsample 1 cross-scale a'
    """
    *parts, last = badge.split(" · ")
    words = " ".join(part.split(" from ")[0] for part in parts or [last])
    return words.removeprefix("COMPUTED ")


def _wrapped(badge: str, width: int) -> list[str]:
    """Lines of at most ``width`` characters, broken between the parts of a badge."""
    lines: list[str] = []
    for part in badge.split(" · "):
        if lines and len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines


# The badge's characters, made before they are needed.
#
# The canvas makes a picture of each character when it is first drawn, some 10 ms each: half a
# second for a whole badge, just when the first tile comes. So a few at a time are drawn
# beforehand, unseen, while the window is idle; all texts of the canvas share them.

GLYPHS = "cwtnet_badge_glyphs"
_TEXTS = (
    "COMPUTED ORACLE ×0123456789 µm/px from research use only cwtnet-lite · downsample cross-scale."
)
_CHARACTERS = "".join(sorted(set(_TEXTS)))
_AT_ONCE = 2
_PAUSE_MS = 60


def prepare_badge(viewer: Any, parent: QObject) -> None:
    """Have the characters ready within about a second; ends with ``parent`` if that goes before."""
    if GLYPHS in viewer.canvas.overlays:
        return
    viewer.canvas.overlays[GLYPHS] = TextOverlay(
        visible=True, opacity=0.0, font_size=10, box=False, position="top_left"
    )
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
