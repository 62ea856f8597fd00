"""napari's reader of slides."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import napari
from napari.utils.notifications import show_error

from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.plugin.badge import keep_badge
from napari_cwtnet.plugin.slide_layer import slide_layer
from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.zarr_backend import is_rgb_zarr

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
    """One multiscale layer for each slide; a slide that cannot be opened is told in one line."""
    found: list[LayerData] = []
    for one in _as_list(path):
        try:
            slide = open_slide(one)
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
