"""What napari's menus and the command palette do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cwtnet.plugin import app
from napari_cwtnet.plugin.app import ENHANCE, SLIDE
from napari_cwtnet.plugin.reader import LayerData, read_slides
from napari_cwtnet.slides.sample import SAMPLE_NAME, cache_folder, sample_slide

if TYPE_CHECKING:
    import napari.viewer


def open_slide(viewer: napari.viewer.Viewer) -> None:
    """Ask for a slide and open it with this plugin."""
    from napari_cwtnet.plugin.reader import ask_for_slide, open_in

    path = ask_for_slide(None)
    if path is not None:
        open_in(viewer, path)


def open_docks(viewer: napari.viewer.Viewer) -> None:
    """Open the four docks, with that in front which comes next."""
    app.open_docks(viewer, ENHANCE if len(viewer.layers) else SLIDE)


def enhance_view(viewer: napari.viewer.Viewer) -> None:
    """Enhance what the canvas shows, with what the Enhance dock is set to."""
    _do("enhance_view", viewer)


def enhance_rois(viewer: napari.viewer.Viewer) -> None:
    """Enhance every selected shape."""
    _do("enhance_rois", viewer)


def check_here(viewer: napari.viewer.Viewer) -> None:
    """Measure the model on what the canvas shows."""
    _do("check_here", viewer)


def whole_slide(viewer: napari.viewer.Viewer) -> None:
    """Open the form that writes a whole slide to a file."""
    _do("whole_slide", viewer)


def live(viewer: napari.viewer.Viewer) -> None:
    """Enhance each view from now on, or no longer."""
    _do("live", viewer)


def split(viewer: napari.viewer.Viewer) -> None:
    """Compare the shown result by a split, or end that."""
    _do("split", viewer)


def cancel(viewer: napari.viewer.Viewer) -> None:
    """End the enhancement after its current tile."""
    _do("cancel", viewer)


def _do(name: str, viewer: napari.viewer.Viewer) -> None:
    from napari_cwtnet.plugin.docks.shortcuts import do

    do(name, viewer)


def sample() -> list[LayerData]:
    """The sample slide's layer; fetched at first use, for which napari waits.

    Raises
    ------
    SlideError
        If it cannot be fetched.
    """
    from napari.utils.notifications import show_info
    from qtpy.QtWidgets import QApplication

    if not (cache_folder() / SAMPLE_NAME).is_file():
        show_info("Fetching the sample slide (1.9 MB), once…")
        QApplication.processEvents()  # to be seen before the wait
    return read_slides(sample_slide())
