"""Results where they help: hidden where the slide below is finer, and shown again where it is not.

A layer is hidden by its eye in the layer list, so that a user sees that it is, and may show it all
the same: nothing hides it again before the zoom has come back.
"""

from __future__ import annotations

import weakref
from typing import Any

from napari_cwtnet.plugin.viewer.canvas import real_viewer
from napari_cwtnet.plugin.viewer.computed import is_computed
from napari_cwtnet.plugin.viewer.selection import scanned_slides, slide_made_of, source_of
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.plugin.viewer.viewport import screen_pixel

_CLEARLY = 1.02
"""How much coarser than the slide a result has to be; zooms are no round numbers."""
EDGE = "#00c8ff"
"""Colour of the line around a result: none of a stain's."""

_FOLLOWED: weakref.WeakSet[Any] = weakref.WeakSet()
_COARSE: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()
"""Whether the slide was finer than a result at the last look."""
_HIDDEN: weakref.WeakSet[Any] = weakref.WeakSet()
"""Results that are hidden for that, and not by the user."""
_HELD: weakref.WeakSet[Any] = weakref.WeakSet()


def keep_in_place(viewer: Any) -> None:
    """Hide and show results as the zoom changes, from now on, at once."""
    viewer = real_viewer(viewer)
    if viewer in _FOLLOWED:
        return
    _FOLLOWED.add(viewer)
    known = weakref.ref(viewer)

    def look(*_: Any) -> None:
        window = known()
        for layer in [] if window is None else list(window.layers):
            look_at_result(window, layer)

    viewer.scene.camera.events.zoom.connect(look)
    viewer.layers.events.inserted.connect(look)
    look()


def look_at_result(viewer: Any, layer: Any, *, afresh: bool = False) -> None:
    """Hide a result if the slide has become finer than it, show it if that is over.

    Parameters
    ----------
    viewer : Viewer
        Where it is.
    layer : Layer
        Any.
    afresh : bool
        Its pixels are others than at the last look.
    """
    if not is_computed(layer) or layer in _HELD:
        return
    found = _slide_and_pixel(viewer, layer)
    if found is None:
        return
    below, pixel = found
    coarse = viewer.dims.ndisplay == 2 and pixel > _CLEARLY * max(1.0, screen_pixel(viewer, below))
    if layer.visible:
        _HIDDEN.discard(layer)  # the user has shown it
    before = None if afresh else _COARSE.get(layer)
    _COARSE[layer] = coarse
    if coarse and not before and layer.visible:
        _HIDDEN.add(layer)
        layer.visible = False
    elif not coarse and layer in _HIDDEN and below.visible:
        _HIDDEN.discard(layer)
        layer.visible = True


def is_put_away(layer: Any) -> bool:
    """Whether a result is hidden because the slide is finer."""
    return layer in _HIDDEN and not layer.visible


def hold(*layers: Any) -> None:
    """Leave layers as they are until :func:`let_go`: they are compared."""
    for layer in layers:
        _HELD.add(layer)
        _HIDDEN.discard(layer)


def let_go(viewer: Any, *layers: Any) -> None:
    """End :func:`hold`."""
    for layer in layers:
        _HELD.discard(layer)
        look_at_result(viewer, layer, afresh=True)


def show_edge(layer: Any) -> None:
    """Draw a line around what is computed, one screen pixel wide."""
    box = layer.bounding_box
    box.points, box.line_color, box.visible = False, EDGE, True


def _slide_and_pixel(viewer: Any, layer: Any) -> tuple[Any, float] | None:
    """What a result lies over, and its pixel in level-0 pixels; None where that is not known."""
    source = source_of(layer)
    if source is not None:
        return source.slide_layer, source.plan.output_downsample
    slide = slide_of(layer)
    place = None if slide is None else slide.computed_place
    below = slide_made_of(layer, scanned_slides(viewer))
    return None if place is None or below is None else (below, place[1])
