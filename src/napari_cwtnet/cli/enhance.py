"""``enhance``: a region in, an image file out; large ones piece by piece."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.cli.many_slides import run_for_slides
from napari_cwtnet.cli.report import Bars, Progress, stopped_by_interrupt
from napari_cwtnet.cli.slide import opened_slide
from napari_cwtnet.cli.terminal import complain
from napari_cwtnet.enhancement import (
    Engine,
    EnhanceRequest,
    Grid,
    Plan,
    Quality,
    Result,
    enhance,
    make_plan,
)
from napari_cwtnet.enhancement.input_origin import input_origins
from napari_cwtnet.enhancement.result import MAX_OUTPUT_PIXELS
from napari_cwtnet.errors import CancelledError, RequestError
from napari_cwtnet.export import (
    check_badge,
    check_mark,
    check_output,
    export_image,
    read_rois,
    save_mark,
)
from napari_cwtnet.export.dicom import check_dicom
from napari_cwtnet.export.formats import DICOM
from napari_cwtnet.export.whole_slide import Job, WholeResult, enhance_to_file
from napari_cwtnet.export.whole_slide.work_folder import WorkFolder
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection.calibration import (
    calibrated,
    check_calibratable,
    marked_squares,
)
from napari_cwtnet.model import Model, load_model
from napari_cwtnet.slides import Slide

_LR_MADE_HERE = (
    "made here from finer pixels, bicubic and without compression; no scanner stores such pixels, "
    "so napari-cwtnet check is a better guide to this slide"
)
_MOST_IS_MARKED = 0.9


def is_asked_for(arguments: argparse.Namespace) -> bool:
    """Whether the words say so, however large the image is; a PNG is written at once."""
    if arguments.resume or arguments.scheduler or arguments.block:
        return True
    return arguments.region == "all" and not arguments.output.name.lower().endswith(".png")


def enhanced(arguments: argparse.Namespace, region: Region | None) -> WholeResult | None:
    """Enhance into the file; None after Ctrl-C, which leaves what can be resumed.

    Raises
    ------
    CwtnetError
        If it cannot be done; one line says why.
    """
    job = Job(
        slide=arguments.slide.absolute(),
        model=_where(arguments.model),
        region=region,
        downsample=arguments.downsample,
        reference=arguments.reference,
        device=arguments.device,
        dtype=arguments.dtype,
        grid=None if arguments.grid is None else Grid.parse(arguments.grid),
        skip_background=not arguments.no_skip_background,
        sharpness=arguments.sharpness,
        mpp=arguments.mpp,
        icc=not arguments.no_icc,
        image=arguments.image,
    )
    replace = arguments.replace and not WorkFolder(arguments.output).unfinished
    cancel, bars = CancelToken(), Bars()
    with stopped_by_interrupt(cancel, "stopping; blocks that are done are kept"):
        try:
            return enhance_to_file(
                job,
                arguments.output,
                resume=arguments.resume and not replace,
                scheduler=arguments.scheduler,
                block=arguments.block,
                space_check=not arguments.no_space_check,
                cancel=cancel,
                told=bars,
            )
        except CancelledError as stopped:
            complain(stopped)
            return None


def _where(model: str) -> str:
    """A weights file by its whole path, for a worker that stands elsewhere; a name as it is."""
    path = Path(model)
    return str(path.absolute()) if path.is_file() else model


def run(arguments: argparse.Namespace) -> int:
    """Enhance, write, report."""
    if arguments.slides is None:
        return run_for_slides(arguments, _enhance_one)
    if arguments.roi is not None:
        raise RequestError("--roi is of one slide; --slides wants --region, such as all.")
    if arguments.trust:
        raise RequestError("--trust is for an image that is computed at once, so for one slide.")
    arguments.resume = True
    return run_for_slides(arguments, _enhance_one, arguments.ending)


def _enhance_one(arguments: argparse.Namespace) -> dict[str, Any] | None:
    region = _region(arguments)
    check_output(arguments.output, arguments.slide)
    check_badge(arguments.output, arguments.badge)
    if arguments.trust:
        check_mark(arguments.output, arguments.slide)
    region, notes = _on_slide(arguments, region)
    if is_asked_for(arguments):
        return _whole(arguments, region, notes)
    model = load_model(arguments.model)
    with opened_slide(arguments) as slide:
        region = slide.bounds if region is None else region
        grid = None if arguments.grid is None else Grid.parse(arguments.grid)
        request = EnhanceRequest(
            region, arguments.downsample, arguments.reference, grid, arguments.sharpness
        )
        plan = make_plan(slide, model, request)
        if arguments.output.name.lower().endswith(DICOM):
            check_dicom(plan.output_mpp)
        if arguments.trust:
            check_calibratable(slide, model, plan)
        width, height = plan.output_size
        if width * height > MAX_OUTPUT_PIXELS:
            return _whole(arguments, region, notes)
        result = enhance(
            slide,
            region,
            arguments.downsample,
            model=model,
            reference=arguments.reference,
            device=arguments.device,
            dtype=arguments.dtype,
            grid=grid,
            skip_background=not arguments.no_skip_background,
            sharpness=arguments.sharpness,
            progress=Progress("tile"),
        )
        trusted = _trusted(arguments, slide, model, result) if arguments.trust else None
        lr_is_stored = input_origins(slide, plan)["LR"].stored
    provenance = result.provenance | ({} if trusted is None else {"trust": trusted[0]})
    export_image(
        arguments.output,
        result.image,
        provenance,
        result.mpp,
        badge_on_pixels=arguments.badge,
        figures=result.metrics.as_dict(),
    )
    said = {"output": str(arguments.output)} | summary(result)
    if result.metrics.psnr is not None and not lr_is_stored:
        said |= {"lr": _LR_MADE_HERE}
    if "model_purpose" in provenance:
        notes = (*notes, f"{model.name} is {provenance['model_purpose']}")
    if trusted is not None:
        calibration, squares = trusted
        said |= {"trust": calibration, "marked": None}
        if not arguments.json:
            share = calibration["marked_here"]
            said["trust"] = calibration["sentence"]
            said["marked share"] = _share_in_words(share)
        if squares is not None:
            path = save_mark(arguments.output, squares, result.image, provenance, result.mpp)
            said["marked"] = str(path)
    return _warned(said, notes)


def _share_in_words(share: float | None) -> str:
    if share is None:
        return "none"
    words = f"{100 * share:.0f} %"
    return f"{words}: do not rely on this image" if share > _MOST_IS_MARKED else words


def _trusted(
    arguments: argparse.Namespace, slide: Slide, model: Model, result: Result
) -> tuple[dict[str, Any], NDArray[np.bool_] | None]:
    """The calibration with the share that it marks, and the squares that are marked.

    With too few fields nothing is promised, and there are none.
    """
    plan = result.plan
    engine = Engine(
        model,
        arguments.device,
        cache_bytes=0,
        dtype=arguments.dtype,
        skip_background=not arguments.no_skip_background,
    )
    calibration = calibrated(slide, engine, plan, progress=Progress("field"))
    if calibration.threshold is None:
        return calibration.record_of(None), None
    squares = marked_squares(slide, engine, plan, result.image, calibration, error=result.error)
    return calibration.record_of(squares), squares


def _on_slide(
    arguments: argparse.Namespace, region: Region | None
) -> tuple[Region | None, tuple[str, ...]]:
    """The region in level-0 pixels of the whole slide, and what one should know of the file."""
    with opened_slide(arguments) as slide:
        (x, y), notes = slide.origin, slide.notes
    if arguments.roi is None or region is None or not (x or y):
        return region, notes
    note = f"the GeoJSON is taken to count from {x},{y}, where the scanned part of the slide begins"
    return replace(region, x=region.x + x, y=region.y + y), (*notes, note)


def _warned(said: dict[str, Any], notes: Sequence[str]) -> dict[str, Any]:
    warnings = [*([said["warning"]] if "warning" in said else []), *notes]
    return said | ({"warning": "; ".join(warnings)} if warnings else {})


def _whole(
    arguments: argparse.Namespace, region: Region | None, notes: Sequence[str]
) -> dict[str, Any] | None:
    if arguments.trust:
        raise RequestError(
            "--trust is for an image that is computed at once; choose a smaller --region."
        )
    made = enhanced(arguments, region)
    if made is None:
        return None
    said: dict[str, Any] = {"output": str(arguments.output)}
    said |= summary_of(made.plan, made.tiles, made.seconds, made.quality)
    said |= {"computed_tiles": made.computed_tiles} | dict(made.tally)
    said |= {"blocks": made.blocks, "resumed_blocks": made.resumed_blocks}
    return _warned(said, notes)


def _region(arguments: argparse.Namespace) -> Region | None:
    """What to enhance: numbers, all (None), or the rectangle around a polygon of a GeoJSON file."""
    if arguments.roi is None:
        return None if arguments.region == "all" else Region.parse(arguments.region)
    rois, wanted = read_rois(arguments.roi), arguments.roi_name
    found = [roi for roi in rois if wanted is None or roi.name == wanted]
    if len(found) != 1:
        names = ", ".join(sorted({repr(roi.name) for roi in rois if roi.name})) or "none has a name"
        count = f"{len(found)} of its {len(rois)} polygons are" if wanted else f"{len(rois)} are"
        raise RequestError(
            f"GeoJSON {arguments.roi.name!r}: {count} meant, and one is needed; choose by "
            f"--roi-name ({names}), or export one alone."
        )
    return found[0].bounds


def summary(result: Result) -> dict[str, Any]:
    """The figures of one enhancement, as JSON values; downsample and mpp are the output's."""
    said = summary_of(result.plan, len(result.plan.tiles), result.seconds, result.metrics)
    return said | result.tile_counts.as_dict()


def summary_of(plan: Plan, tiles: int, seconds: float, quality: Quality) -> dict[str, Any]:
    """The same of an image that is in its file already."""
    return {
        "what": plan.sentence,
        "mode": plan.mode,
        "region": [plan.region.x, plan.region.y, plan.region.width, plan.region.height],
        "output_size": list(plan.output_size),
        "mpp": plan.output_mpp,
        "downsample": plan.output_downsample,
        "input_downsample": plan.downsample,
        "beyond_native": plan.beyond_native,
        "tiles": tiles,
        "seconds": round(seconds, 3),
        **quality.as_dict(),
        **({"warning": quality.warning} if quality.warning else {}),
        "model": plan.model_name,
        "badge": plan.badge,
    }
