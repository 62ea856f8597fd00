"""The mark on the canvas that says what is computed, for as long as any of it can be seen."""

from __future__ import annotations

from typing import Any

from napari.components.overlays import TextOverlay

RESULT_KEY = "napari_cwtnet_result"
OVERLAY = "cwtnet_badge"
_BOX, _NO_BOX = "#7a1f1fe6", "#7a1f1f01"
"""The second cannot be seen; with no opacity at all, what was drawn before would stay."""
_CHARACTER = 10.0
"""Width of a character, screen pixels; rather too much than too little."""


def is_computed(layer: Any) -> bool:
    """Whether a layer shows computed pixels of this plugin."""
    return RESULT_KEY in layer.metadata


def keep_badge(viewer: Any) -> None:
    """Show the badge of every visible computed layer, from now on, whatever becomes of the docks.

    It is an overlay of its own: the user's text overlay stays as it is. It is never hidden, but
    empty and transparent: where napari 0.9 takes a box out of the canvas and puts it back, the
    next drawing reads memory that is no more, and ends the process.
    """
    if OVERLAY not in viewer.canvas.overlays:
        viewer.canvas.overlays[OVERLAY] = TextOverlay(
            position="top_center", font_size=10, color="white", box=True, box_color=_NO_BOX,
            visible=True,
        )  # fmt: skip

        def update(*_: Any) -> None:
            update_badge(viewer)

        def added(event: Any) -> None:
            if is_computed(event.value):
                event.value.events.visible.connect(update)
            update()

        viewer.layers.events.inserted.connect(added)
        viewer.layers.events.removed.connect(update)
        viewer.layers.events.reordered.connect(update)
        viewer.canvas.events.size.connect(update)
        for layer in viewer.layers:
            if is_computed(layer):
                layer.events.visible.connect(update)
        update()


def update_badge(viewer: Any) -> None:
    """Write the badges of the visible computed layers on the canvas, topmost first."""
    badges = [
        layer.metadata[RESULT_KEY]["badge"]
        for layer in reversed(viewer.layers)
        if is_computed(layer) and layer.visible
    ]
    overlay = viewer.canvas.overlays.get(OVERLAY)
    if overlay is not None:
        fitting = int(viewer.canvas.size[1] / _CHARACTER)
        lines = [line for badge in dict.fromkeys(badges) for line in _wrapped(badge, fitting)]
        overlay.text = "\n".join(f" {line} " for line in lines)
        overlay.box_color = _BOX if badges else _NO_BOX


def shown_badge(viewer: Any) -> str:
    """What the badge on the canvas says, in one line; nothing where nothing computed is shown."""
    overlay = viewer.canvas.overlays.get(OVERLAY)
    lines = overlay.text.splitlines() if overlay is not None else []
    return " · ".join(line.strip() for line in lines)


def _wrapped(badge: str, width: int) -> list[str]:
    """Lines of at most ``width`` characters, broken between the parts of a badge."""
    lines: list[str] = []
    for part in badge.split(" · "):
        if lines and len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines
