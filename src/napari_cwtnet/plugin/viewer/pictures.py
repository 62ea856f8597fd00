"""Pictures of what is in view: a figure of the result, a snapshot of the canvas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from napari_cwtnet.enhancement import Quality
from napari_cwtnet.export.figure import (
    check_figure,
    result_caption,
    result_panels,
    write_figure,
    write_picture,
)
from napari_cwtnet.files import written_whole
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY, is_computed
from napari_cwtnet.plugin.viewer.export import exportable, provenance_of
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.plugin.viewer.viewport import visible_region
from napari_cwtnet.slides.resolution import pixel_sides

_SMALLEST = 32
"""Side in pixels below which a part in view is no picture, and the whole result is drawn."""


def figure_of(viewer: Any, layer: Any, path: Path) -> Callable[[], None]:
    """The work of drawing a result, for a thread: what of it is in view, or all of it.

    Raises
    ------
    RequestError
        If there is no complete result.
    OutputError
        If the file cannot be a figure.
    """
    source, known = exportable(layer)
    check_figure(path, source.job.slide.path)
    box = _in_view(viewer, source, layer.data.shape[:2])
    pixels, figures = layer.data, known.get("quality")
    quality = None if figures is None else Quality(**figures)

    def work() -> None:
        image = np.ascontiguousarray(pixels[..., :3])
        panels = result_panels(source.job.slide, source.plan, image, box)
        caption = result_caption(source.plan, quality)
        record = provenance_of(known)
        mpp = known["output_mpp"]
        if mpp is not None:
            mpp, _ = pixel_sides(mpp, known["pixel_aspect"])  # its bar runs across
        write_figure(path, panels, record, mpp=mpp, caption=caption)

    return work


def _in_view(viewer: Any, source: Any, shape: tuple[int, int]) -> tuple[int, int, int, int] | None:
    region = visible_region(viewer, source.slide_layer)
    seen = None if region is None else region.intersection(source.plan.region)
    if seen is None:
        return None
    pixel, whole = source.plan.output_downsample, source.plan.region
    left, right = ((x - whole.x) / pixel for x in (seen.x, seen.right))
    top, bottom = ((y - whole.y) / pixel for y in (seen.y, seen.bottom))
    box = (round(left), round(top), min(round(right), shape[1]), min(round(bottom), shape[0]))
    return box if min(box[2] - box[0], box[3] - box[1]) >= _SMALLEST else None


def snapshot_of(viewer: Any, path: Path) -> Callable[[], None]:
    """Look at the canvas, with its scale bar; gives the work of writing that, for a thread."""
    bar = viewer.canvas.overlays.scale_bar
    before = bar.visible
    slides = [slide_of(layer) for layer in viewer.layers if layer.visible]
    bar.visible = before or any(slide is not None and slide.mpp is not None for slide in slides)
    try:
        picture = Image.fromarray(viewer.screenshot(canvas_only=True, flash=False)[..., :3])
    finally:
        bar.visible = before
    computed = [layer for layer in reversed(viewer.layers) if is_computed(layer) and layer.visible]
    title = "; ".join(dict.fromkeys(layer.metadata[RESULT_KEY]["badge"] for layer in computed))

    def work() -> None:
        with written_whole(path) as partial:
            write_picture(partial, picture, title or "Snapshot of a slide")

    return work
