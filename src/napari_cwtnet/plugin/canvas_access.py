"""What napari keeps to itself, in one place: the canvas as a Qt widget, and a layer's drawing.

There is no public way to clip an image layer in 2D or to lay a widget over the canvas (napari 0.9).
Whoever asks has to do without where this gives nothing.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QWidget


def real_viewer(viewer: Any) -> Any:
    """The viewer behind the proxy that napari hands to docks."""
    return getattr(viewer, "__wrapped__", viewer)


def canvas_widget(viewer: Any) -> QWidget | None:
    """The widget that the canvas is drawn on."""
    native = getattr(_canvas(viewer), "native", None)
    return native if isinstance(native, QWidget) else None


def drawing_of(viewer: Any, layer: Any) -> Any | None:
    """The vispy node that draws a layer now; another one after its kind of data has changed."""
    layers = getattr(_canvas(viewer), "layer_to_visual", {})
    node = getattr(layers.get(layer), "node", None)
    return node if hasattr(node, "attach") else None


def _canvas(viewer: Any) -> Any | None:
    window = getattr(real_viewer(viewer), "window", None)
    return getattr(getattr(window, "_qt_viewer", None), "canvas", None)
