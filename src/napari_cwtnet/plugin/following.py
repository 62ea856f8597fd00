"""Which slide a dock is about, as layers come, go and are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    return next((layer for layer in reversed(viewer.layers) if slide_of(layer) is not None), None)


def source_layer_in(viewer: ViewerModel, last: Image | None = None) -> Image | None:
    """The slide that a network is to read: `slide_layer_in`, but a scanned one where there is one.

    An exported result that was just opened is active, and would else be enhanced once more.
    """
    meant = slide_layer_in(viewer, last)
    if meant is None or not is_computed(meant):
        return meant
    if last is not None and last in viewer.layers and not is_computed(last):
        return last
    slides = [layer for layer in reversed(viewer.layers) if slide_of(layer) is not None]
    return next((layer for layer in slides if not is_computed(layer)), meant)


def scanned_slide_in(viewer: ViewerModel) -> Image | None:
    """The slide whose level-0 pixels count: no computed image over it, if there is another one.

    The active layer if it is such a slide's, else the topmost.
    """
    slides = [layer for layer in reversed(viewer.layers) if slide_of(layer) is not None]
    scanned = [layer for layer in slides if not is_computed(layer)] or slides
    active = viewer.layers.selection.active
    return active if among(active, scanned) else next(iter(scanned), None)
