"""Enhancing a view or several ROIs, or checking a model, in a thread."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from qtpy.QtCore import QObject

from napari_cwtnet.enhancement import (
    Canvas,
    EnhanceRequest,
    Plan,
    Quality,
    TileCounts,
    make_plan,
    measure,
    provenance,
)
from napari_cwtnet.enhancement.check import Check, check
from napari_cwtnet.enhancement.forward import DtypeChoice
from napari_cwtnet.model.weights import ModelHeader
from napari_cwtnet.plugin.tasks.device import ENGINES, MODELS_IN_USE
from napari_cwtnet.plugin.tasks.runner import Ending, Run, Task, TaskRunner
from napari_cwtnet.slides import Slide

Phase = Literal["loading", "tiles", "measuring"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be computed, and how: an enhancement, a check or an inspection."""

    slide: Slide
    request: EnhanceRequest
    header: ModelHeader
    device: str = "auto"
    dtype: DtypeChoice = "auto"
    roi: str = ""
    """Name of the region of interest; empty where the job is about the view."""

    @property
    def model(self) -> Path:
        """The weights file."""
        return self.header.path


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an enhancement ended."""

    kind: Literal["done", "cancelled", "failed"]
    done: int
    """Tiles that are in the picture."""
    cached: int
    """Those of them that were finished before and only fetched."""
    total: int
    seconds: float
    quality: Quality | None = None
    """None unless it is done."""
    message: str = ""
    """Why it failed, one line."""
    tile_counts: TileCounts = field(default_factory=TileCounts)
    """What became of the tiles that are in the picture."""
    parts: tuple[int, int] = (0, 1)
    """Regions that are finished, and in all."""

    @property
    def sentence(self) -> str:
        """What happened, in plain words."""
        if self.kind == "failed":
            return self.message
        several = self.parts[1] > 1
        if self.kind == "cancelled":
            finished, parts = self.parts
            rois = f"{finished} of {parts} ROIs finished, " if several else ""
            return f"Cancelled: {rois}{self.done} of {self.total} tiles kept"
        reused = f", {self.cached} of them from memory" if self.cached else ""
        tiles = "1 tile" if self.total == 1 else f"{self.total} tiles"
        rois = f"{self.parts[1]} ROIs, " if several else ""
        return f"Done: {rois}{tiles} in {self.seconds:.1f} s{reused}{self.tile_counts.words}"


@dataclass(frozen=True, slots=True)
class Picture:
    """What a run makes; only the pixels of ``canvas`` change."""

    plan: Plan
    canvas: Canvas
    provenance: dict[str, Any]


@dataclass(eq=False, slots=True)
class Part:
    """One region of a run; written by its thread, read by the window."""

    job: Job
    plan: Plan
    picture: Picture | None = None
    """None until its tiles begin."""
    done: int = 0
    """Tiles in the picture."""
    tile_counts: TileCounts = field(default_factory=TileCounts)
    quality: Quality | None = None
    ended: bool = False
    """Whether all of it is there; set last of all."""


class EnhanceRun(Run):
    """An enhancement at work: of one region, or of several in turn.

    Parameters
    ----------
    jobs : list of (Job, Plan)
        One of each region, all of the same model.

    Attributes
    ----------
    parts : list of Part
        The regions.
    number : int
        Of the region at work, from 1.
    done, total, cached : int
        Tiles in the pictures, in all, and those in the pictures that came from memory.
    phase : {"loading", "tiles", "measuring"}
        What it is at.
    """

    name, kind = "enhance", "Enhancement"

    def __init__(self, jobs: Sequence[tuple[Job, Plan]]) -> None:
        super().__init__()
        self.parts = [Part(job, plan) for job, plan in jobs]
        self.no_memory = (
            f"Device {jobs[0][0].device!r} ran out of memory; release memory, close other programs "
            "or enhance a smaller region."
        )
        self.number = 1
        self.total = sum(len(plan.tiles) for _, plan in jobs)
        self.cached = 0
        self.tile_counts = TileCounts()
        self.phase: Phase = "loading"
        self._began = self._tiles_began = time.perf_counter()

    @property
    def picture(self) -> Picture | None:
        """Of the region at work."""
        return self.parts[self.number - 1].picture

    @property
    def seconds(self) -> float:
        """Since its start."""
        return time.perf_counter() - self._began

    @property
    def pace(self) -> tuple[float, float] | None:
        """Computed tiles a second, and seconds left; None while they are not known."""
        fresh, elapsed = self.done - self.cached, time.perf_counter() - self._tiles_began
        if self.phase == "loading" or fresh < 1 or elapsed <= 0:
            return None
        return fresh / elapsed, (self.total - self.done) * elapsed / fresh

    def work(self) -> Quality | None:
        """Enhance and measure each region; gives the quality of a single one."""
        with MODELS_IN_USE.by(self.parts[0].job.model):
            for number, part in enumerate(self.parts, 1):
                self.number = number
                self._enhance(part)
        return self.parts[0].quality if len(self.parts) == 1 else None

    def _enhance(self, part: Part) -> None:
        job, token = part.job, self._token
        engine = ENGINES.get(job.model, job.device, job.dtype)
        token.raise_if_cancelled()
        plan, model = part.plan, engine.model
        if (model.config, model.provenance) != (job.header.config, job.header.provenance):
            plan = make_plan(job.slide, model, job.request)  # the file is another by now
        if not job.roi and job.request.grid is None:
            plan = ENGINES.grids.shared(job.slide, plan)
        canvas = Canvas(plan)
        if self.phase == "loading":
            self._tiles_began = time.perf_counter()
        self.total += len(plan.tiles) - len(part.plan.tiles)
        self.phase = "tiles"
        part.plan = plan
        part.picture = Picture(plan, canvas, provenance(job.slide, plan, engine))
        running = engine.run(job.slide, plan, token, first_soon=True)
        with contextlib.closing(running):
            for finished in running:
                # A request that came meanwhile may have this picture's layer by now.
                token.raise_if_cancelled()
                canvas.add(finished.tile, finished.sr, finished.error)
                part.tile_counts.add(finished)
                self.tile_counts.add(finished)
                self.cached += finished.cached
                part.done += 1
                self.done += 1
        self.phase = "measuring"
        part.quality = measure(job.slide, plan, canvas.image, token)
        part.ended = True

    def conclude(self, ending: Ending) -> Outcome:
        """The outcome, with what became of the tiles."""
        roi = self.parts[self.number - 1].job.roi
        message = ending.message
        if message and len(self.parts) > 1:
            message = f"{roi}: {message}"
        return Outcome(
            ending.kind,
            self.done,
            self.cached,
            self.total,
            self.seconds,
            ending.value,
            message,
            self.tile_counts,
            (sum(part.ended for part in self.parts), len(self.parts)),
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found, and of what."""

    job: Job
    check: Check
    slide_layer: Any


class _CheckRun(Run):
    name, kind = "check", "Check"

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job

    def work(self) -> Check:
        job, request = self.job, self.job.request
        with MODELS_IN_USE.by(job.model):
            return check(
                job.slide,
                ENGINES.get(job.model, job.device, job.dtype).model,
                [request.region],
                request.downsample,
                reference=request.reference,
                sharpness=request.sharpness,
                device=job.device,
                dtype=job.dtype,
                cancel=self._token,
            )


class Checker(TaskRunner):
    """Checks the model against the slide's own pixels; keeps what the last check found.

    Attributes
    ----------
    found : Checked or None
        Of the last check, until the next one begins or its slide goes.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.found: Checked | None = None
        self._layer: Any = None

    def start(self, job: Job, slide_layer: Any) -> None:
        """Check, in place of any other check."""

        def answer(found: Check) -> None:
            self.found = Checked(job, found, slide_layer)

        self._layer, self.found = slide_layer, None
        self.submit(Task("Checking…", lambda: _CheckRun(job), answer))

    def forget_layer(self, layer: Any) -> None:
        """Drop what was found on a slide whose layer has gone."""
        if layer == self._layer:
            self._layer = self.found = None
            self.cancel()
            self.changed.emit()
