"""Where the camera goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cwtnet.plugin.viewport import world_centre, zoom_for

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


def look_at(viewer: ViewerModel, layer: Image, x: float, y: float) -> None:
    """Centre the view on a place in level-0 pixels."""
    camera = viewer.scene.camera
    camera.center = (*camera.center[:-2], *world_centre(viewer, layer, x, y))


def zoom_to(viewer: ViewerModel, layer: Image, pixel: float) -> None:
    """Zoom so that one screen pixel is ``pixel`` level-0 pixels; the centre stays."""
    viewer.scene.camera.zoom = zoom_for(viewer, layer, pixel)
