"""One slide is shown at a time; the others, with what lies over them, are put away."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

from napari_cwtnet.plugin.viewer.canvas import real_viewer
from napari_cwtnet.plugin.viewer.computed import is_computed
from napari_cwtnet.plugin.viewer.selection import holds, scanned_slides, slide_made_of, source_of
from napari_cwtnet.plugin.viewer.slide_layer import layer_below, slide_of
from napari_cwtnet.plugin.viewer.viewport import look_at, zoom_to

_AROUND = 1.05
"""How much more than the slide the canvas shows."""


@dataclass(frozen=True, slots=True)
class _Left:
    """How a slide was left: where the camera was, and what was shown over it."""

    centre: tuple[float, ...]
    zoom: float
    over: tuple[weakref.ref[Any], ...]


_LEFT: weakref.WeakKeyDictionary[Any, _Left] = weakref.WeakKeyDictionary()


def slides_in(viewer: Any) -> list[Any]:
    """Layers of slides, in the order of the layers; none of a computed image over its slide."""
    layers = real_viewer(viewer).layers
    return [one for one in layers if slide_of(one) is not None and _owner(viewer, one) is None]


def bring_up(viewer: Any, layer: Any) -> None:
    """Show a slide that was just opened, all of it, unless it is a computed image over another."""
    viewer, layer = real_viewer(viewer), real_viewer(layer)
    if len(slides_in(viewer)) < 2 or _owner(viewer, layer) is not None:
        return
    others = [slide_of(one) for one in slides_in(viewer) if one is not layer]
    if slide_of(layer) in others:
        return  # a copy of a layer, which stays where it is
    show_slide(viewer, layer)
    fit(viewer, layer)


def show_slide(viewer: Any, layer: Any) -> None:
    """Show one slide and what lay over it, where it was left; put all others away."""
    viewer, layer = real_viewer(viewer), real_viewer(layer)
    viewer.layers.selection.active = layer  # first: whoever compares the others ends that
    camera = viewer.scene.camera
    for other in slides_in(viewer):
        if other is layer or not other.visible:
            continue
        over = [one for one in viewer.layers if _is_over(viewer, one, other, layer)]
        _LEFT[other] = _Left(camera.center, camera.zoom, tuple(map(weakref.ref, over)))
        for one in (*over, other):
            one.visible = False
    layer.visible = True
    left = _LEFT.pop(layer, None)
    if left is not None:
        camera.center, camera.zoom = left.centre, left.zoom
        for one in (known() for known in left.over):
            if one is not None and holds(viewer, one):
                one.visible = True


def fit(viewer: Any, layer: Any) -> None:
    """Look at all of a slide."""
    slide = slide_of(layer)
    if slide is None:
        return
    height, width = viewer.canvas.size
    look_at(viewer, layer, slide.size.width / 2, slide.size.height / 2)
    zoom_to(viewer, layer, _AROUND * max(slide.size.width / width, slide.size.height / height))


def _is_over(viewer: Any, one: Any, slide: Any, wanted: Any) -> bool:
    """Whether a layer that is shown goes with a slide that is put away."""
    if not one.visible or one is slide or one is wanted:
        return False
    owner = _owner(viewer, one)
    if owner is None:  # a map of something computed is of what was shown
        return is_computed(one) and slide_of(one) is None
    return owner is slide


def _owner(viewer: Any, layer: Any) -> Any | None:
    """The slide's layer that another one lies over."""
    source = source_of(layer)
    below = layer_below(layer) if source is None else source.slide_layer
    if below is not None:
        return real_viewer(below)
    found = slide_made_of(layer, [one for one in scanned_slides(viewer) if one is not layer])
    return None if found is None else real_viewer(found)
