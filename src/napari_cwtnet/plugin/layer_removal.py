"""Layers are removed while the canvas is what OpenGL works on.

napari 0.9 frees a removed layer's textures and programs at once, in whatever OpenGL context is at
hand: between two drawings that is the window's own. Where a text has been on the canvas, such as a
badge, Mesa's next drawing then reads what is no more, and the process ends.
"""

from __future__ import annotations

import weakref
from typing import Any

from qtpy.compat import isalive

from napari_cwtnet.plugin.canvas_access import canvas_widget


def keep_removal_safe(viewer: Any) -> None:
    """See to it from now on, whatever becomes of the docks; for any layer."""
    widget = canvas_widget(viewer)
    if widget is None or not hasattr(widget, "makeCurrent"):
        return
    known = weakref.ref(widget)

    def take_context(_: Any) -> None:
        canvas = known()
        if canvas is not None and isalive(canvas) and canvas.isVisible():
            canvas.makeCurrent()

    viewer.layers.events.removing.connect(take_context)
