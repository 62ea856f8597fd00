"""A whole slide to a file: what the form says of it, before, meanwhile and afterwards."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

from napari_cwtnet.enhancement import Plan
from napari_cwtnet.enhancement.target import Target
from napari_cwtnet.errors import OutputError
from napari_cwtnet.export.dicom import check_pydicom
from napari_cwtnet.export.whole_slide import Job as FileJob
from napari_cwtnet.export.whole_slide.work_folder import finished_bytes, needed_bytes
from napari_cwtnet.geometry import describe_resolution
from napari_cwtnet.plugin.tasks.enhance import Job
from napari_cwtnet.plugin.tasks.whole_slide import DICOM, TIFF, ZARR, Place, WholeRun, format_of
from napari_cwtnet.plugin.viewer.command_line import command_line, whole_words
from napari_cwtnet.plugin.viewer.slide_layer import user_mpp, wants_icc
from napari_cwtnet.plugin.viewer.wording import time_words
from napari_cwtnet.slides import Slide

FORMATS = {
    TIFF: ("OME-TIFF, one file", "For QuPath, Fiji, OMERO and this plugin"),
    ZARR: ("OME-Zarr, a folder", "For web viewers and Python; half the space while it is made"),
    DICOM: ("DICOM, a folder", "For archives (PACS), QuPath and OpenSlide; lossless"),
}
"""Words and tooltip of each ending."""
_STAGES = {"level": "Making coarser levels", "part": "Writing the finished image"}


@cache
def without_dicom() -> str:
    """Why DICOM cannot be written, and what to install; empty where it can."""
    try:
        check_pydicom()
    except OutputError as error:
        return str(error)
    return ""


def file_job(job: Job) -> FileJob:
    """The same job, as the engine for whole slides opens it."""
    return FileJob(
        slide=job.slide.path.resolve(),
        model=str(job.model),
        region=job.request.region if job.roi else None,
        downsample=job.request.downsample,
        reference=job.request.reference,
        device=job.device,
        dtype=job.dtype,
        sharpness=job.request.sharpness,
        mpp=user_mpp(job.slide),
        icc=wants_icc(job.slide),
        image=job.slide.explicit_image,
    )


def with_format(place: Path, ending: str) -> Path:
    """The same place with the ending of another format.

    >>> with_format(Path("a.ome.tif"), ".ome.zarr").name
    'a.ome.zarr'
    """
    name = place.name
    for known in (".ome.tiff", TIFF, ZARR, DICOM, ".tiff", ".tif", ".zarr"):
        if name.lower().endswith(known):
            name = name[: -len(known)]
            break
    return place.with_name(f"{name}{ending}")


def command_of(job: Job, shown: Slide, place: Path) -> str:
    """The line that does the same in a terminal, and continues what was paused here."""
    return command_line(whole_words(job, shown, place))


def what_will_be_written(plan: Plan, place: Path, seconds: float | None) -> str:
    """Fineness, size, bytes and time, before anything begins.

    Parameters
    ----------
    plan : Plan
        Of the whole.
    place : Path
        Its ending is the format.
    seconds : float or None
        Of one tile; None while it is being measured, NaN where it could not be.
    """
    size, tiff = plan.output_size, format_of(place) != ZARR
    fine = describe_resolution(plan.output_mpp, 1) if plan.output_mpp else ""
    if plan.downsample == 1:
        fine = Target(plan.scale).words(plan.native_mpp)
    done, meanwhile = finished_bytes(size, tiff=tiff), needed_bytes(size, tiff=tiff)
    space = f"about {bytes_words(done)}"
    if meanwhile > done:
        space += f", {bytes_words(meanwhile)} while it is made"
    tiles = plan.lattice.tile_count
    if seconds is None:
        duration = "being measured"
    elif math.isnan(seconds):
        duration = "not known"
    else:
        duration = f"at most about {time_words(seconds * tiles)} here; empty glass is quick"
    first = f"{fine} by {plan.model_name}." if fine else f"By {plan.model_name}."
    return (
        f"{first}\n{size.width:,} × {size.height:,} pixels, {tiles:,} tiles.\n"
        f"Space: {space}.\nTime: {duration}."
    )


def bytes_words(count: int) -> str:
    """Megabytes or gigabytes, two digits.

    >>> bytes_words(1_500_000), bytes_words(23_456_000_000)
    ('2 MB', '23 GB')
    """
    if count < 1e9:
        return f"{max(1, round(count / 1e6)):,} MB"
    return f"{count / 1e9:.1f} GB" if count < 1e10 else f"{count / 1e9:,.0f} GB"


def place_words(place: Place) -> str:
    """What is at the place, and what a start does there."""
    if place.trouble:
        return place.trouble
    if place.unfinished:
        return "An unfinished image is there: Resume continues it."
    if place.finished:
        return "It is there already. Start opens it if it is this image, and never replaces it."
    return ""


def run_words(run: WholeRun | None, *, pausing: bool) -> str:
    """How far the work is; ``None`` is a run that has not begun."""
    if pausing:
        return "Pausing after the tile at work…"
    if run is None or run.stage == "opening":
        return "Opening; what is there already is read again…"
    if run.stage != "tile":
        return f"{_STAGES[run.stage]}: {run.done:,} of {run.total:,}"
    left = run.seconds_left
    words = f"{run.done:,} of {run.total:,} tiles"
    return words if left is None else f"{words} · {time_words(left)} left"
