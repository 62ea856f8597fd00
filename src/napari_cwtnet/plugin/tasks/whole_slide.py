"""Enhancing a whole slide into a file beside the window: begin, pause, continue."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Engine, Plan, make_plan
from napari_cwtnet.errors import CwtnetError, RequestError
from napari_cwtnet.export import check_output
from napari_cwtnet.export.dicom import check_dicom
from napari_cwtnet.export.whole_slide import Job as FileJob
from napari_cwtnet.export.whole_slide import WholeResult, enhance_to_file
from napari_cwtnet.export.whole_slide.work_folder import WorkFolder, free_bytes, needed_bytes
from napari_cwtnet.geometry import Region, Size, magnification
from napari_cwtnet.plugin.tasks.device import ENGINES, MODELS_IN_USE, limit_threads
from napari_cwtnet.plugin.tasks.enhance import Job
from napari_cwtnet.plugin.tasks.runner import Ending, Run, Task, TaskRunner
from napari_cwtnet.plugin.tasks.slide_memory import SLIDES
from napari_cwtnet.slides.opening import slide_stem

TIFF, ZARR, DICOM = ".ome.tif", ".ome.zarr", ".dicom"
Stage = Literal["opening", "tile", "level", "part"]

_OWN = 8
"""Lattice pixels in the middle of a tile, which no other tile touches."""
_TRIES = 4
_SLIDE_BYTES, _PART_BYTES = 100, 40
"""The most that a slide's name and the other parts take of a file's name, which has 255."""


def format_of(place: Path) -> str:
    """The ending of the format that a place asks for; OME-TIFF where it does not say."""
    name = place.name.lower()
    return ZARR if name.endswith(".zarr") else DICOM if name.endswith(DICOM) else TIFF


@dataclass(frozen=True, slots=True)
class Place:
    """What there is where the image is to go."""

    path: Path
    unfinished: bool = False
    """Whether a run that was paused or killed can be continued there."""
    finished: bool = False
    """Whether a file of that name is there; it is never replaced."""
    free: int | None = None
    """Bytes; None where the disk does not tell."""
    trouble: str = ""
    """Why nothing can be written there, one line."""


def look_at(path: Path, slide: Path, size: Size, mpp: float | None) -> Place:
    """See what is at a place; not for the window's thread, for a share may be slow.

    Parameters
    ----------
    path : Path
        Ending in ``.ome.tif``, ``.ome.zarr`` or ``.dicom``.
    slide : Path
        What is read.
    size : Size
        Of the image, pixels.
    mpp : float or None
        µm per pixel of the image.
    """
    if not path.is_absolute():
        return Place(path, trouble="Choose a place, from the root of the disk.")
    if not path.name.lower().endswith((TIFF, ".ome.tiff", ZARR, DICOM)):
        return Place(path, trouble=f"Choose a place that ends in {TIFF}, {ZARR} or {DICOM}.")
    try:
        if format_of(path) == DICOM:
            check_dicom(mpp)
        check_output(path, slide)
    except CwtnetError as error:
        return Place(path, trouble=str(error))
    unfinished, finished = WorkFolder(path).unfinished, path.exists()
    free, needed = free_bytes(path.parent), needed_bytes(size, tiff=format_of(path) != ZARR)
    trouble = ""
    if free is not None and free < needed and not (unfinished or finished):
        trouble = (
            f"The disk of {path.parent} has {free / 1e9:.1f} GB left, and {needed / 1e9:.1f} GB "
            "are needed; free some space or choose another place."
        )
    return Place(path, unfinished, finished, free, trouble)


def place_for(job: Job) -> Path:
    """Where a slide was written to before, alike, else a name in the folder of the last one.

    Not for the window's thread: a fingerprint reads the slide.
    """
    model, downsample = job.header.name, job.request.downsample
    before, folder = SLIDES.output_of(job.slide, model, downsample)
    if before is not None and not job.roi:
        return before
    return (folder or Path.home()) / file_name(job, make_plan(job.slide, job.header, job.request))


def file_name(job: Job, plan: Plan, *, view: bool = False) -> str:
    """Such as ``CMU-1-computed-40x-cwtnet-lite-x2.ome.tif``: slide, magnification, model and ROI.

    Parameters
    ----------
    job : Job
        What was computed, or is to be.
    plan : Plan
        Of it. Without a magnification of the result, it is named by the model's factor.
    view : bool
        Name the place too, level-0 pixels, as in ``CMU-1-at-700-800-computed-…``: a view is not
        to replace the whole slide.
    """
    label = magnification(plan.output_mpp)
    finer = f"x{plan.scale}" if label is None else f"{label}x"
    coarser = "" if plan.downsample == 1 else f"downsample-{plan.downsample:g}"
    place = f"at-{plan.region.x:.0f}-{plan.region.y:.0f}" if view and not job.roi else ""
    slide = job.slide
    image = ""
    if slide.explicit_image is not None:
        image = f"{slide.explicit_image + 1}-of-{len(slide.images)}"
    parts = [image, place, "computed", finer, job.header.name, coarser, job.roi]
    named = (_safe(part, _PART_BYTES) for part in parts if part)
    return "-".join([_safe(slide_stem(slide.path), _SLIDE_BYTES), *named]) + TIFF


def _safe(words: str, most: int) -> str:
    """Words for a name of a file; of longer ones both ends, for one of them tells them apart.

    >>> _safe("it's 1.2.840", 40), _safe("abcdefghij", 7)
    ('it-s-1-2-840', 'abc-hij')
    """
    safe = cut = "".join(one if one.isalnum() else "-" for one in words)
    half = len(safe) // 2
    while len(cut.encode()) > most:
        cut, half = f"{safe[:half]}-{safe[-half:]}", half - 1
    return cut


def note_place(job: Job, place: Path) -> None:
    """Remember where a whole slide is written to; an ROI would take that place from it.

    Not for the window's thread, either.
    """
    if not job.roi:
        SLIDES.note_output(job.slide, job.header.name, job.request.downsample, place)


def seconds_of_a_tile(job: Job, token: CancelToken) -> float:
    """How long this computer takes over one tile of a job, s; in a thread.

    The quickest of a few times that the tile in the middle is computed: the first has to load and
    warm up, and others may compute beside it.

    Raises
    ------
    CwtnetError
        If it cannot be computed.
    """
    lattice = make_plan(job.slide, job.header, job.request).lattice
    model = ENGINES.get(job.model, job.device, job.dtype).model
    engine = Engine(model, job.device, 0, dtype=job.dtype, skip_background=False)

    def middle(first: int, count: int, begin: int, step: int) -> int:
        return begin + (first + count // 2 - begin) // step * step + step // 2 - _OWN // 2

    (x, y), size, grid = lattice.origin, lattice.size, lattice.grid
    column = max(0, middle(x, size.width, grid.x, grid.step_x))
    row = max(0, middle(y, size.height, grid.y, grid.step_y))
    d, (left, top) = lattice.downsample, lattice.phase
    spot = Region(left + column * d, top + row * d, _OWN * d, _OWN * d)
    request = replace(job.request, region=spot.intersection(job.slide.bounds) or spot, grid=grid)
    plan = make_plan(job.slide, job.header, request)
    taken = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        tiles = sum(1 for _ in engine.run(job.slide, plan, token))
        taken.append((time.perf_counter() - began) / max(1, tiles))
    return min(taken)


class _TimingRun(Run):
    name, kind, priority = "timing", "Timing a tile", False
    no_memory = "There is too little memory; close other programs."

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job

    def work(self) -> float:
        limit_threads(leave=1)  # as the whole slide will
        with MODELS_IN_USE.by(self.job.model):
            return seconds_of_a_tile(self.job, self._token)

    def conclude(self, ending: Ending) -> Ending:
        """A failure is an answer, too: nobody asked for a time, so no message pops up."""
        return ending if ending.kind == "cancelled" else Ending("done", ending)


class TileTimer(TaskRunner):
    """Measures :func:`seconds_of_a_tile`, of the newest job only."""

    def start(self, job: Job, answer: Callable[[Ending], None]) -> None:
        """Measure in place of any other; ``answer`` takes the seconds, or why there are none."""
        self.submit(Task("Measuring…", lambda: _TimingRun(job), answer))


class WholeRun(Run):
    """A whole slide at work.

    Parameters
    ----------
    job : FileJob
        What, in words that the engine opens for itself.
    place : Path
        Where.

    Attributes
    ----------
    stage : {"opening", "tile", "level", "part"}
        What is counted now: tiles, coarser levels, parts of the OME-TIFF.
    """

    name, kind = "whole slide", "Whole slide"
    priority = False
    """It may take hours, and training must not wait for it."""
    no_memory = (
        "There is too little memory; close other programs, and continue with Resume: what is done "
        "is kept."
    )

    def __init__(self, job: FileJob, place: Path) -> None:
        super().__init__()
        self.job, self.place = job, place
        self.stage: Stage = "opening"
        self._began = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Of the tiles; None while that is not known."""
        if self.stage != "tile" or self.done < 1:
            return None
        return (time.perf_counter() - self._began) / self.done * (self.total - self.done)

    def work(self) -> WholeResult:
        """Continue what is there, or begin; a finished image of the same kind stays as it is."""
        limit_threads(leave=1)
        with MODELS_IN_USE.by(Path(self.job.model)):
            return enhance_to_file(
                self.job, self.place, resume=True, cancel=self._token, told=self._told
            )

    def _told(self, what: str, done: int, total: int) -> None:
        if what != self.stage:
            self._began = time.perf_counter()
            self.stage = what  # type: ignore[assignment]
        self._step(done, total)


class WholeSlide(TaskRunner):
    """Writes one whole slide at a time; :meth:`cancel` pauses, a new start continues."""

    def start(
        self,
        job: FileJob,
        place: Path,
        done: Callable[[Path], None],
        end: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin, or continue what is unfinished there.

        Parameters
        ----------
        job : FileJob
            What.
        place : Path
            Where.
        done : callable
            Called with the place once the image is there.
        end : callable
            Called when the work has ended, however.

        Raises
        ------
        RequestError
            If a slide is being written.
        """
        if self.busy:
            raise RequestError("A whole slide is being written; pause it, or wait for its end.")
        self.submit(
            Task(
                "Writing…",
                lambda: WholeRun(job, place),
                lambda _: done(place),
                end=lambda *_: end(),
            )
        )
