"""What napari keeps to itself, in one place: the canvas as a Qt widget, and a layer's drawing.

There is no public way to clip an image layer in 2D or to lay a widget over the canvas (napari 0.9).
Whoever asks has to do without where this gives nothing.
"""

from __future__ import annotations

import contextlib
import math
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import napari
from napari.utils.task_status import Status
from qtpy.compat import isalive
from qtpy.QtWidgets import QWidget


def real_viewer(viewer: Any) -> Any:
    """The viewer behind the proxy that napari hands to docks."""
    return getattr(viewer, "__wrapped__", viewer)


def is_closed(viewer: Any) -> bool:
    """Whether a viewer's window was closed; a viewer model has none, and is never closed."""
    window = getattr(real_viewer(viewer), "window", None)
    return window is not None and not hasattr(window, "_qt_window")


def canvas_widget(viewer: Any) -> QWidget | None:
    """The widget that the canvas is drawn on."""
    native = getattr(_canvas(viewer), "native", None)
    return native if isinstance(native, QWidget) else None


def drawing_of(viewer: Any, layer: Any) -> Any | None:
    """The vispy node that draws a layer now; another one after its kind of data has changed."""
    layers = getattr(_canvas(viewer), "layer_to_visual", {})
    node = getattr(layers.get(layer), "node", None)
    return node if hasattr(node, "attach") else None


def overlay_bottom(viewer: Any, overlay: Any) -> int:
    """How far a text at the upper edge of the canvas reaches down, pixels; 0 where none is seen."""
    drawn = getattr(_canvas(viewer), "_viewer_overlay_to_visual", {}).get(overlay)
    if overlay is None or not overlay.visible or not drawn:
        return 0
    # Half the padding is drawn around the text, and as much is left free below.
    padding = real_viewer(viewer).canvas.overlay_tiling.padding[1]
    return math.ceil(getattr(drawn[0], "y_size", 0) + 2 * padding)


def _canvas(viewer: Any) -> Any | None:
    window = getattr(real_viewer(viewer), "window", None)
    return getattr(getattr(window, "_qt_viewer", None), "canvas", None)


def ask_before_closing(words: str, cancel: Callable[[], object]) -> Callable[[], None]:
    """Have napari ask before its window is closed, until what is returned is called."""
    viewer = napari.current_viewer()
    window = None if viewer is None else getattr(viewer, "window", None)
    if window is None or not hasattr(window, "_register_task_status"):
        return lambda: None
    item = window._register_task_status("napari-cwtnet", Status.BUSY, words, cancel)

    def end() -> None:
        with contextlib.suppress(RuntimeError):  # the window has gone
            window._update_task_status(item, Status.COMPLETED, words)

    return end


_STEADY = 4.0
"""Screen pixels that the pointer may move between press and release of a click."""

Listener = Callable[[tuple[float, ...]], None]


class CanvasClicks:
    """Tells where the canvas was clicked, in the world's coordinates, while it listens.

    Parameters
    ----------
    viewer : Viewer
        Whose canvas.
    listener : callable
        A bound method, held weakly: the viewer's list of callbacks would keep its dock for good.
    """

    def __init__(self, viewer: Any, listener: Listener) -> None:
        self._callbacks = viewer.mouse_drag_callbacks
        self._on_press = _watching(weakref.WeakMethod(listener))

    def listen(self) -> None:
        """Begin, if that has not been."""
        if self._on_press not in self._callbacks:
            self._callbacks.append(self._on_press)

    def stop(self) -> None:
        """Stop listening."""
        if self._on_press in self._callbacks:
            self._callbacks.remove(self._on_press)


def _watching(listener: weakref.WeakMethod[Listener]) -> Callable[[Any, Any], Iterator[None]]:
    def on_press(_: Any, event: Any) -> Iterator[None]:
        place, pressed, furthest = tuple(event.position), tuple(event.pos), 0.0
        yield
        while event.type == "mouse_move":
            furthest = max(furthest, math.dist(pressed, tuple(event.pos)))
            yield
        furthest = max(furthest, math.dist(pressed, tuple(event.pos)))  # where it was released
        call = listener()
        if call is not None and furthest <= _STEADY:
            call(place)

    return on_press


# Layers are removed while the canvas is what OpenGL works on.
#
# napari 0.9 frees a removed layer's textures and programs at once, in whatever OpenGL context is
# current: between two drawings that is the window's own. Where a text has been on the canvas, such
# as a badge, Mesa's next drawing then reads what was freed, and the process ends.


def keep_removal_safe(viewer: Any) -> None:
    """Make OpenGL's context current before any layer is removed, even after the docks have gone."""
    widget = canvas_widget(viewer)
    if widget is None or not hasattr(widget, "makeCurrent"):
        return
    known = weakref.ref(widget)

    def take_context(_: Any) -> None:
        canvas = known()
        if canvas is not None and isalive(canvas) and canvas.isVisible():
            canvas.makeCurrent()

    viewer.layers.events.removing.connect(take_context)
