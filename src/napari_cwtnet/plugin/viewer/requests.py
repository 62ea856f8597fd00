"""From what the Enhance dock says to a job, and to the words about it; nothing is read or computed.

Errors say why the job cannot be had, and are shown where the sentence would stand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from napari_cwtnet.enhancement import EnhanceRequest, Plan, make_plan, suiting_downsample
from napari_cwtnet.enhancement.check import refuse_computed, what_is_checked
from napari_cwtnet.enhancement.forward import DtypeChoice
from napari_cwtnet.enhancement.plan import ReferenceChoice, Sharpness
from napari_cwtnet.enhancement.target import nothing_to_gain
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region, describe_resolution
from napari_cwtnet.inspection import MAX_SIDE, Field, field_request, images
from napari_cwtnet.inspection.bands import IMAGES
from napari_cwtnet.inspection.field import cwtnet_config
from napari_cwtnet.plugin.tasks.enhance import Job
from napari_cwtnet.plugin.tasks.model_list import MODELS
from napari_cwtnet.plugin.viewer.rois import selected_roi, selected_rois
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.plugin.viewer.viewport import screen_pixel, visible_region
from napari_cwtnet.slides import Slide

MAX_OUTPUT_PIXELS = 64_000_000
"""More would take gigabytes while it is computed, and napari long to draw."""
MAX_BATCH_PIXELS = 256_000_000
"""Of all the results of a batch, whose layers take four bytes a pixel each."""
MAX_ROIS = 100
"""More would be slow to plan whenever the selection changes."""

_COARSEST_SIDE = 64


@dataclass(frozen=True, slots=True)
class Choice:
    """What the dock's widgets say."""

    model: str | None
    downsample: float | None = None
    """Of LR; None: the slide's finest pixels to enhance, as the zoom is to check or inspect."""
    reference: ReferenceChoice = "auto"
    device: str = "auto"
    dtype: DtypeChoice = "auto"
    sharpness: Sharpness = "auto"


class NothingToGainError(RequestError):
    """The slide is as sharp as the screen can show."""


def source_levels(slide: Slide) -> list[tuple[float, str]]:
    """Downsamples that LR can be fixed to, in octaves, with their words."""
    octaves = max(0, math.floor(math.log2(max(1.0, max(slide.size) / _COARSEST_SIDE))))
    downsamples = [2.0**octave for octave in range(min(octaves, 6) + 1)]
    return [(d, describe_resolution(slide.mpp, d)) for d in downsamples]


def view_job(viewer: Any, layer: Any, choice: Choice) -> tuple[Job, Plan]:
    """The job that enhances what the canvas shows.

    Raises
    ------
    CwtnetError
        If that cannot be done, or would gain nothing; the message says why.
    """
    region = _visible(viewer, layer)
    if choice.downsample is None and nothing_to_gain(screen_pixel(viewer, layer)):
        raise NothingToGainError("Nothing to gain at this zoom: the slide is already this sharp.")
    return _job(layer, choice, region)


def check_job(viewer: Any, layer: Any, choice: Choice) -> tuple[Job, str]:
    """The job that checks the model on what the canvas shows, and the words about it.

    Its LR is coarser than the slide by the model's scale at least, so that the slide holds the
    truth.

    Raises
    ------
    CwtnetError
        If that cannot be done; the message says why.
    """
    region = _visible(viewer, layer)
    header = MODELS.header(choice.model)
    suiting = suiting_downsample(screen_pixel(viewer, layer), header.scale)
    coarser = replace(choice, downsample=max(choice.downsample or suiting, float(header.scale)))
    job, plan = _job(layer, coarser, region)
    refuse_computed(job.slide)
    return job, what_is_checked(plan.output_mpp, plan.downsample, plan.scale)


def roi_jobs(viewer: Any, layer: Any, choice: Choice) -> list[tuple[Job, Plan]]:
    """The jobs that enhance the bounding box of every selected shape.

    Raises
    ------
    CwtnetError
        If that cannot be done; the message says why.
    """
    if layer is None:
        raise RequestError("Open a slide first.")
    rois = selected_rois(viewer, layer)
    if not rois:
        raise RequestError("Draw and select a shape in a Shapes layer first.")
    if len(rois) > MAX_ROIS:
        raise RequestError(f"{len(rois):,} ROIs are selected; select at most {MAX_ROIS}.")
    jobs = []
    for name, region in rois.items():
        try:
            jobs.append(_job(layer, choice, region, name))
        except RequestError as error:
            raise error if len(rois) == 1 else RequestError(f"{name}: {error}") from error
    sizes = [plan.output_size for _, plan in jobs]
    if sum(size.width * size.height for size in sizes) > MAX_BATCH_PIXELS:
        raise RequestError(
            f"The results would have more than {MAX_BATCH_PIXELS // 10**6} million pixels in all; "
            "select fewer ROIs, or write them to files by Whole slide…."
        )
    return jobs


def whole_jobs(viewer: Any, layer: Any, choice: Choice) -> dict[str, tuple[Job, Plan]]:
    """The jobs that write a whole slide, and each selected ROI, of any size, by their names.

    Raises
    ------
    CwtnetError
        If there is no slide or model for it; the message says why.
    """
    slide = slide_of(layer)
    if layer is None or slide is None:
        raise RequestError("Open a slide first.")
    found = {"": _job(layer, choice, slide.bounds, any_size=True)}
    for name, region in selected_rois(viewer, layer).items():
        if region.intersection(slide.bounds) is not None:
            found[name] = _job(layer, choice, region, name, any_size=True)
    return found


def _visible(viewer: Any, layer: Any) -> Region:
    if layer is None:
        raise RequestError("Open a slide first.")
    region = visible_region(viewer, layer)
    if region is None:
        raise RequestError("The slide is not in view; pan to it, or show it in 2D.")
    return region


def _job(
    layer: Any, choice: Choice, region: Region, roi: str = "", *, any_size: bool = False
) -> tuple[Job, Plan]:
    slide = slide_of(layer)
    if slide is None:
        raise RequestError(f"Layer {layer.name!r} is not a slide; open one with this plugin.")
    header = MODELS.header(choice.model)
    downsample = choice.downsample or 1.0
    request = EnhanceRequest(
        on_lattice(region, downsample), downsample, choice.reference, sharpness=choice.sharpness
    )
    if not any_size:
        _check_size(slide, request, header.scale)
    plan = make_plan(slide, header, request)
    return Job(slide, request, header, choice.device, choice.dtype, roi), plan


def on_lattice(region: Region, downsample: float) -> Region:
    """The region widened to whole LR pixels of the slide, so that neighbouring views share tiles.

    >>> on_lattice(Region(5, 7.5, 2, 9), 4)
    Region(x=4, y=4, width=4, height=16)
    """
    left, top = (math.floor(v / downsample) * downsample for v in (region.x, region.y))
    right, bottom = (math.ceil(v / downsample) * downsample for v in (region.right, region.bottom))
    return Region(left, top, right - left, bottom - top)


def _check_size(slide: Slide, request: EnhanceRequest, scale: int) -> None:
    inside = request.region.intersection(slide.bounds)
    size = None if inside is None else inside.size_at(request.downsample / scale)
    if size is not None and size.width * size.height > MAX_OUTPUT_PIXELS:
        raise RequestError(
            f"The result would have {size.width:,} × {size.height:,} pixels, more than "
            f"{MAX_OUTPUT_PIXELS // 10**6} million; zoom in, mark a smaller ROI, or write it to a "
            "file by Whole slide…."
        )


def field_job(
    viewer: Any, layer: Any, choice: Choice, *, roi: bool = False
) -> tuple[Job, Plan, str]:
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
    header = MODELS.header(choice.model)
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
    words = f"Looks into {where}, {columns} × {rows} input pixels. {sentence}."
    job = Job(slide, request, header, choice.device, dtype=choice.dtype)
    return job, plan, words


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
