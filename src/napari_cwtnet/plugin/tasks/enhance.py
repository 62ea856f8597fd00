"""One enhancement in a thread of its own; the window looks at it when it likes.

Nothing here knows of Qt: the thread writes, the window's timer reads, and no signal crosses over.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_cwtnet.cancel import CancelToken
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
from napari_cwtnet.enhancement.forward import DtypeChoice
from napari_cwtnet.errors import CancelledError
from napari_cwtnet.plugin.tasks.device import TURNS, Engines
from napari_cwtnet.plugin.tasks.runner import fault_words
from napari_cwtnet.slides import Slide

Phase = Literal["loading", "tiles", "measuring"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be computed, and whose layer it is for."""

    slide: Slide
    request: EnhanceRequest
    model: Path
    device: str = "auto"
    kind: Literal["view", "roi"] = "view"
    dtype: DtypeChoice = "auto"


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
    plan: Plan | None = None
    quality: Quality | None = None
    """None unless it is done."""
    message: str = ""
    """Why it failed, one line."""
    tile_counts: TileCounts = field(default_factory=TileCounts)
    """What became of the tiles that are in the picture."""

    @property
    def sentence(self) -> str:
        """What happened, in plain words."""
        if self.kind == "failed":
            return self.message
        if self.kind == "cancelled":
            return f"Cancelled: {self.done} of {self.total} tiles kept"
        reused = f", {self.cached} of them from memory" if self.cached else ""
        tiles = "1 tile" if self.total == 1 else f"{self.total} tiles"
        return f"Done: {tiles} in {self.seconds:.1f} s{reused}{self.tile_counts.words}"


@dataclass(frozen=True, slots=True)
class Picture:
    """What a run makes; all fixed but for the pixels of ``canvas``."""

    plan: Plan
    canvas: Canvas
    provenance: dict[str, Any]


class Run:
    """A job at work.

    Attributes
    ----------
    picture : Picture or None
        None until the model is loaded.
    done, cached : int
        Tiles that are in the picture, and those of them that came from memory.
    phase : {"loading", "tiles", "measuring"}
        What it is at.
    outcome : Outcome or None
        Set last of all, and once.
    """

    def __init__(self, job: Job, engines: Engines) -> None:
        self.job = job
        self.picture: Picture | None = None
        self.done = 0
        self.cached = 0
        self.tile_counts = TileCounts()
        self.phase: Phase = "loading"
        self.outcome: Outcome | None = None
        self.tiles_began = 0.0
        self._engines = engines
        self._cancel = CancelToken()
        self._thread = threading.Thread(target=self._work, name="napari-cwtnet enhance")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self, reason: str = "cancelled") -> None:
        """Ask it to end after the tile that it is at."""
        self._cancel.cancel(reason)

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._cancel.cancelled

    def join(self) -> None:
        """Wait for the thread; at once where ``outcome`` is set."""
        self._thread.join()

    @property
    def pace(self) -> tuple[float, float] | None:
        """Computed tiles a second, and seconds left; None while nothing can be said."""
        fresh, elapsed = self.done - self.cached, time.perf_counter() - self.tiles_began
        if self.picture is None or fresh < 1 or elapsed <= 0:
            return None
        return fresh / elapsed, (len(self.picture.plan.tiles) - self.done) * elapsed / fresh

    def _work(self) -> None:
        began, quality, kind, message = time.perf_counter(), None, "done", ""
        try:
            with TURNS.first():
                quality = self._compute()
        except CancelledError:
            kind = "cancelled"
        except Exception as error:  # noqa: BLE001 - the window must not wait for ever
            memory = (
                f"Device {self.job.device!r} ran out of memory; release memory, close other "
                "programs or enhance a smaller region."
            )
            kind, message = "failed", fault_words(error, "Enhancement", memory)
        plan = None if self.picture is None else self.picture.plan
        total = 0 if plan is None else len(plan.tiles)
        seconds = time.perf_counter() - began
        self.outcome = Outcome(
            kind,  # type: ignore[arg-type]
            self.done,
            self.cached,
            total,
            seconds,
            plan,
            quality,
            message,
            self.tile_counts,
        )

    def _compute(self) -> Quality:
        job = self.job
        engine = self._engines.get(job.model, job.device, job.dtype)
        self._cancel.raise_if_cancelled()
        plan = make_plan(job.slide, engine.model, job.request)
        if job.kind == "view" and job.request.grid is None:
            plan = self._engines.grids.shared(job.slide, plan)
        canvas = Canvas(plan)
        self.tiles_began = time.perf_counter()
        self.phase = "tiles"
        self.picture = Picture(plan, canvas, provenance(job.slide, plan, engine))
        with contextlib.closing(engine.run(job.slide, plan, self._cancel)) as running:
            for finished in running:
                # A request that came meanwhile may have this picture's layer by now.
                self._cancel.raise_if_cancelled()
                canvas.add(finished.tile, finished.sr)
                self.tile_counts.add(finished)
                self.cached += finished.cached
                self.done += 1
        self.phase = "measuring"
        return measure(job.slide, plan, canvas.image, self._cancel)
