"""Opening a slide without making the window wait: read in a thread, shown in the window's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cwtnet.plugin.background import in_background
from napari_cwtnet.plugin.badge import keep_badge
from napari_cwtnet.plugin.levels import TiledLevel
from napari_cwtnet.plugin.slide_layer import placement, slide_layer, slide_of
from napari_cwtnet.slides import Slide, open_slide

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


@dataclass(frozen=True, slots=True)
class Opened:
    """A slide whose layer can be added at once."""

    slide: Slide
    levels: list[TiledLevel]
    settings: dict[str, Any]


def read_ahead(path: Path, mpp: float | None = None, icc: bool = True) -> Opened:
    """Open a slide and decode its coarsest level, which napari would read in the window's thread.

    Raises
    ------
    SlideError
        If it cannot be opened.
    RequestError
        If ``mpp`` is no pixel size of a slide.
    """
    slide = open_slide(path, mpp=mpp, icc=icc)
    levels, settings = slide_layer(slide)
    np.asarray(levels[-1])
    return Opened(slide, levels, settings)


def open_in(viewer: ViewerModel, path: Path, at_the_end: Callable[[], None] | None = None) -> None:
    """Add a slide's layer to a viewer once it is read; with this plugin, whatever the default.

    An error is shown in one line, and no layer is added.
    """
    in_background(
        lambda: read_ahead(path),
        lambda opened: add_to(viewer, opened),
        at_the_end=at_the_end,
    )


def add_to(viewer: ViewerModel, opened: Opened) -> Image:
    """Add the layer of a slide, and look at it if it is the first."""
    from napari.utils.history import update_open_history

    keep_badge(viewer)
    layer = viewer.add_image(opened.levels, **opened.settings)
    if len(viewer.layers) == 1:
        viewer.reset_view()
    update_open_history(str(opened.slide.path))
    return layer


def replace_in(viewer: ViewerModel, layer: Image, opened: Opened) -> None:
    """Show a slide that was opened anew, with other settings, in the layer that it has.

    Where its pixel size has changed, the camera goes on looking at the same place.
    """
    before = slide_of(layer)
    layer.metadata = {**layer.metadata, **opened.settings["metadata"]}
    layer.data = opened.levels
    place = placement(opened.slide)
    ratio = place["scale"][0] / float(layer.scale[-1])
    if before is None or before.mpp != opened.slide.mpp:
        camera = viewer.scene.camera
        centre, zoom = camera.center, camera.zoom
        layer.units = place["units"]
        layer.scale = place["scale"]
        if opened.slide.computed_place is not None:
            layer.translate = place["translate"]
        camera.center = tuple(c * ratio for c in centre)
        camera.zoom = zoom / ratio


def reopened(slide: Slide, *, mpp: float | None, icc: bool) -> Opened:
    """The same file with another pixel size (None: what the file says) or without its profile."""
    return read_ahead(slide.path, mpp=mpp, icc=icc)
