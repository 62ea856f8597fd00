"""From what the Inspect dock says to a field, and what there is to choose of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_cwtnet.enhancement import EnhanceRequest, Plan, make_plan, suiting_downsample
from napari_cwtnet.enhancement.numerics import DtypeChoice
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection import MAX_SIDE, Field, field_request, images
from napari_cwtnet.inspection.band_maps import IMAGES
from napari_cwtnet.inspection.suits import cwtnet_config
from napari_cwtnet.plugin.enhance_choice import Choice, chosen_header, on_lattice, selected_roi
from napari_cwtnet.plugin.slide_layer import slide_of
from napari_cwtnet.plugin.viewport import screen_pixel, visible_region
from napari_cwtnet.slides import Slide

Show = Literal["attention", "displacement", "bands", "trust", "probe"]

TRUST = {
    "consistency": "Consistency |D(SR) − LR|",
    "confidence": "Attention confidence",
    "spread": "Spread over flips and turns",
    "error": "True error |SR − truth|",
    "local-psnr": "Local PSNR",
    "local-ssim": "Local SSIM",
}


@dataclass(frozen=True, slots=True)
class FieldJob:
    """A field that is to be captured."""

    slide: Slide
    request: EnhanceRequest
    model: Path
    device: str
    dtype: DtypeChoice = "auto"


@dataclass(frozen=True, slots=True)
class Looking:
    """What of a field is to be seen."""

    show: Show
    block: int | None = None
    image: str = "sr"
    band: str = "HH"
    depth: int = 1
    trust: str = "consistency"
    stretched: bool = False


def field_job(
    viewer: Any, layer: Any, choice: Choice, *, roi: bool = False
) -> tuple[FieldJob, Plan, str]:
    """The job that captures what the canvas shows, or its middle, and the words about it.

    With ``roi`` it is the bounding box of the selected shape in place of the view.

    Raises
    ------
    CwtnetError
        If that cannot be done; the message says why.
    """
    if layer is None:
        raise RequestError("Open a slide first.")
    region = selected_roi(viewer, layer) if roi else visible_region(viewer, layer)
    if roi and region is None:
        raise RequestError("Draw and select a shape in a Shapes layer first.")
    slide = slide_of(layer)
    if slide is None or region is None:
        raise RequestError("The slide is not in view; pan to it, or show it in 2D.")
    header = chosen_header(choice)
    cwtnet_config(header)  # refuses a network that cannot be looked into
    downsample = choice.downsample or suiting_downsample(screen_pixel(viewer, layer), header.scale)
    inside = on_lattice(region, downsample).intersection(slide.bounds) or region
    middle = _middle(inside, downsample)
    wanted = EnhanceRequest(middle, downsample, choice.reference, sharpness=choice.sharpness)
    request = field_request(slide, wanted)
    plan = make_plan(slide, header, request)
    columns, rows = plan.lattice.size
    place = "the ROI" if roi else "the view"
    where = place if middle == inside else f"the middle of {place}"
    sentence = plan.sentence[:1].upper() + plan.sentence[1:]
    words = f"Looks into {where}, {columns} × {rows} LR pixels. {sentence}."
    return FieldJob(slide, request, header.path, choice.device, choice.dtype), plan, words


def _middle(region: Region, downsample: float) -> Region:
    """The part of a region that can be captured at once, on its own LR pixels."""
    most = MAX_SIDE * downsample
    x, width = _cut(region.x, region.width, most, downsample)
    y, height = _cut(region.y, region.height, most, downsample)
    return Region(x, y, width, height)


def _cut(start: float, length: float, most: float, step: float) -> tuple[float, float]:
    if length <= most:
        return start, length
    return start + (length - most) // (2 * step) * step, most


def band_images(field: Field) -> dict[str, str]:
    """Images whose sub-bands can be seen, with their words."""
    found = {name: IMAGES[name] for name in images(field)}
    if field.predicted is not None:
        found["predicted"] = "predicted by the WT branch"
    if field.target is not None:
        found["target"] = "target of the WT branch"
    return found
