"""Which slide a dock is about, as layers come, go and are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.plugin.badge import is_computed
from napari_cwtnet.plugin.pair import among
from napari_cwtnet.plugin.slide_layer import slide_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


def slide_layer_in(viewer: ViewerModel, last: Image | None = None) -> Image | None:
    """The active layer if it is a slide's, else the last one meant, else the topmost slide."""
    active = viewer.layers.selection.active
    if slide_of(active) is not None:
        return active
    if last is not None and last in viewer.layers:
        return last
    return next(iter(_slides(viewer)), None)


def source_layer_in(viewer: ViewerModel, last: Image | None = None) -> Image | None:
    """The slide that a network is to read: `slide_layer_in`, but a scanned one where there is one.

    An exported result that was just opened is active, and would else be enhanced once more. The
    slide that it was made of comes first, then the last one meant, then the topmost.
    """
    meant = slide_layer_in(viewer, last)
    if meant is None or not is_computed(meant):
        return meant
    scanned = sorted(scanned_slides(viewer), key=lambda layer: layer != last)
    own = slide_made_of(meant, scanned)
    return own if own is not None else next(iter(scanned), meant)


def slide_made_of(computed: Any, layers: list[Any]) -> Any | None:
    """The one of some slides' layers that an exported result, opened again, was made of."""
    result = slide_of(computed)
    wanted = None if result is None else result.computed_from
    if wanted is None:
        return None
    return next((layer for layer in layers if _fingerprint(layer) == wanted), None)


def _fingerprint(layer: Any) -> str | None:
    """None also where the slide cannot be read any more: it is told when it is to be enhanced."""
    slide = slide_of(layer)
    try:
        return None if slide is None else slide.fingerprint
    except CwtnetError:
        return None


def scanned_slide_in(viewer: ViewerModel) -> Image | None:
    """The slide whose level-0 pixels count: no computed image over it, if there is another one.

    The active layer if it is such a slide's, else the topmost.
    """
    slides = scanned_slides(viewer) or _slides(viewer)
    active = viewer.layers.selection.active
    return active if among(active, slides) else next(iter(slides), None)


def _slides(viewer: ViewerModel) -> list[Any]:
    """Layers of slides, topmost first."""
    return [layer for layer in reversed(viewer.layers) if slide_of(layer) is not None]


def scanned_slides(viewer: ViewerModel) -> list[Any]:
    """Layers of slides that are not themselves computed, topmost first."""
    return [layer for layer in _slides(viewer) if not is_computed(layer)]
