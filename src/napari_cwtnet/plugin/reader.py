"""napari's reader of slides."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from napari.utils.history import get_open_history
from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.plugin.tasks.runner import in_background
from napari_cwtnet.plugin.tasks.slide_memory import SLIDES, open_remembered
from napari_cwtnet.plugin.viewer.badge import keep_badge
from napari_cwtnet.plugin.viewer.canvas import is_closed
from napari_cwtnet.plugin.viewer.slide_layer import (
    layer_below,
    placement,
    slide_layer,
    slide_of,
)
from napari_cwtnet.plugin.viewer.slides_shown import bring_up
from napari_cwtnet.plugin.viewer.tiled_level import TiledLevel
from napari_cwtnet.plugin.viewer.viewport import lay_over
from napari_cwtnet.slides import Slide
from napari_cwtnet.slides.backends.zarr import is_rgb_zarr

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


LayerData = tuple[Any, dict[str, Any], str] | tuple[None]
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

SLIDE_SUFFIXES = (
    ".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi", ".dcm",
    ".tif", ".tiff", ".qptiff", ".btf",
)  # fmt: skip
FOLDER_SUFFIXES = (".zarr",)
PLAIN_SUFFIXES = (".png", ".jpg", ".jpeg")
"""Images that a person may open as a slide, but that are napari's own when they are dropped."""

_NO_LAYER: LayerData = (None,)


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """The reader of a path or of several, None where one of them is no slide by its name.

    Never raises; whether the file is sound is seen when it is read.
    """
    try:
        paths = _as_list(path)
        return read_slides if paths and all(_looks_like_a_slide(p) for p in paths) else None
    except (OSError, TypeError, ValueError):
        return None


def read_slides(path: Paths) -> list[LayerData]:
    """One multiscale layer for each slide; shows one line for a slide that cannot be opened."""
    found: list[LayerData] = []
    for one in _as_list(path):
        try:
            slide = open_remembered(one)
            levels, settings = slide_layer(slide)
        except CwtnetError as error:
            # Raised, it would be shown with its traceback; this way napari adds no layer.
            show_error(str(error))
            continue
        if slide.computed is not None:
            _keep_badge()
        found.append((levels, settings, "image"))
    return found or [_NO_LAYER]


def _keep_badge() -> None:
    """Where no dock is open yet, nobody else would show that the layer is computed."""
    viewer = napari.current_viewer()
    if viewer is not None:
        keep_badge(viewer)


def _as_list(path: Paths) -> list[Path]:
    return [Path(path)] if isinstance(path, str | os.PathLike) else [Path(one) for one in path]


def _looks_like_a_slide(path: Path) -> bool:
    name = path.name.lower()
    if name.endswith(FOLDER_SUFFIXES):
        return is_rgb_zarr(path)  # any other kind is left to napari's other readers
    return name.endswith(SLIDE_SUFFIXES) and path.is_file()


@dataclass(frozen=True, slots=True)
class Opened:
    """A slide whose layer can be added at once."""

    slide: Slide
    levels: list[TiledLevel]
    settings: dict[str, Any]


def read_ahead(
    path: Path, mpp: float | None = None, icc: bool = True, image: int | None = None
) -> Opened:
    """Open a slide and decode its coarsest level, which napari would read in the window's thread.

    Raises
    ------
    SlideError
        If it cannot be opened.
    RequestError
        If ``mpp`` is no pixel size of a slide, or there is no such image.
    """
    slide = open_remembered(path, mpp=mpp, icc=icc, image=image)
    levels, settings = slide_layer(slide)
    np.asarray(levels[-1])
    return Opened(slide, levels, settings)


def open_in(
    viewer: ViewerModel,
    path: Path | Callable[[], Path],
    at_the_end: Callable[[], None] | None = None,
    image: int | None = None,
) -> None:
    """Add a slide's layer to a viewer once it is read; with this plugin, whatever the default.

    An error is shown in one line, and no layer is added.

    Parameters
    ----------
    viewer : Viewer
        Where to.
    path : Path or callable
        The file, or what fetches it, which may take long.
    at_the_end : callable, optional
        Called last, whatever has happened.
    image : int, optional
        Which one of a file that holds several.
    """

    def answer(opened: Opened) -> None:
        if is_closed(viewer):
            opened.slide.close()
        else:
            add_to(viewer, opened)

    in_background(
        lambda: read_ahead(path() if callable(path) else path, image=image),
        answer,
        at_the_end=at_the_end,
    )


def add_to(viewer: ViewerModel, opened: Opened) -> Image:
    """Add the layer of a slide, and look at it; other slides are put away."""
    from napari.utils.history import update_open_history

    keep_badge(viewer)
    layer = viewer.add_image(opened.levels, **opened.settings)
    if len(viewer.layers) == 1:
        viewer.reset_view()
    bring_up(viewer, layer)
    update_open_history(str(opened.slide.path))
    return layer


def replace_in(viewer: ViewerModel, layer: Image, opened: Opened) -> None:
    """Show a slide that was reopened with other settings in its present layer.

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
        for other in viewer.layers:
            if layer_below(other) == layer:
                lay_over(other, layer, None, 1)
        camera.center = tuple(c * ratio for c in centre)
        camera.zoom = zoom / ratio


def reopened(slide: Slide, *, mpp: float | None, icc: bool) -> Opened:
    """The same file with another pixel size (None: what was set or the file says), or profile."""
    return read_ahead(slide.path, mpp=mpp, icc=icc, image=slide.explicit_image)


def with_pixel_size(slide: Slide, mpp: float | None, *, icc: bool) -> Opened:
    """The same file with the pixel size that the user sets, from now on; None for the file's own.

    Raises
    ------
    RequestError
        If ``mpp`` is no pixel size of a slide.
    """
    if mpp is None:
        SLIDES.set_mpp(slide, None)
    opened = reopened(slide, mpp=mpp, icc=icc)
    if mpp is not None:
        SLIDES.set_mpp(slide, mpp)
    return opened


_PATTERNS = " ".join(f"*{suffix}" for suffix in SLIDE_SUFFIXES + PLAIN_SUFFIXES)
_FILTER = f"Slides ({_PATTERNS});;All files (*)"


def ask_for_slide(parent: QWidget | None) -> Path | None:
    """The file that the user chooses; None if cancelled."""
    folder = str(SLIDES.folder or get_open_history()[0])
    name, _ = QFileDialog.getOpenFileName(parent, "Open slide", folder, _FILTER)
    return Path(name) if name else None
