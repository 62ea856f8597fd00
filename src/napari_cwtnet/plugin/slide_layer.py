"""The layer of a slide: what it is made of, and the way back from it to its `Slide`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning

from napari_cwtnet.plugin.badge import RESULT_KEY
from napari_cwtnet.plugin.levels import TiledLevel, tiled_levels
from napari_cwtnet.slides import Slide

if TYPE_CHECKING:
    from napari.layers import Layer

KEY = "napari_cwtnet"
"""Of a layer's metadata: everything this plugin knows about the layer is under it."""


def slide_layer(slide: Slide) -> tuple[list[TiledLevel], dict[str, Any]]:
    """Data and keyword arguments of a slide's layer, as ``viewer.add_image`` takes them."""
    metadata: dict[str, Any] = {KEY: {"slide": slide}}
    name = slide.path.stem
    if slide.computed is not None:
        metadata[RESULT_KEY] = {"badge": slide.computed}
        name = f"COMPUTED · {name}"
    settings = {
        "name": name,
        "rgb": True,
        "multiscale": True,
        "contrast_limits": (0, 255),
        "metadata": metadata,
        **placement(slide),
    }
    return tiled_levels(slide, show_warning), settings


def placement(slide: Slide) -> dict[str, Any]:
    """Scale, translation and units of a slide's layer: µm where its pixel size is known.

    A computed image that says what it covers lies there on its slide, which itself begins at the
    origin; without a pixel size, in level-0 pixels of that slide.
    """
    region, downsample = slide.computed_place or (None, 1.0)
    pixel = downsample if slide.mpp is None else slide.mpp
    unit = "pixel" if slide.mpp is None else "um"
    translate = (0.0, 0.0)
    if region is not None:
        # The first pixel's centre, for a layer's coordinates are those of pixel centres.
        shift, native = (downsample - 1) / 2, pixel / downsample
        translate = ((region.y + shift) * native, (region.x + shift) * native)
    return {"scale": (pixel, pixel), "translate": translate, "units": (unit, unit)}


def slide_of(layer: Layer | None) -> Slide | None:
    """The slide that a layer shows; None for a layer of anything else."""
    known = layer.metadata.get(KEY) if layer is not None else None
    slide = known.get("slide") if isinstance(known, dict) else None
    return slide if isinstance(slide, Slide) else None
