"""What is to be enhanced, as words that any process can open for itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from napari_cwtnet.enhancement import Engine, EnhanceRequest, Grid, make_plan, provenance
from napari_cwtnet.enhancement.forward import DtypeChoice
from napari_cwtnet.enhancement.plan import ReferenceChoice, Sharpness
from napari_cwtnet.export.whole_slide.blocks import BorderTiles
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import load_model
from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.backend import TileCache

_SLIDE_BYTES = 16 * 2**20
"""Of decoded tiles: what neighbouring blocks share, however large the slide."""


@dataclass(frozen=True, slots=True)
class Job:
    """An enhancement of a slide, or of a part of it, as a user words it."""

    slide: Path
    model: str
    """A name, or the path of a weights file."""
    region: Region | None = None
    """Level-0 pixels; None for all of the slide."""
    downsample: float = 1.0
    reference: ReferenceChoice = "auto"
    device: str = "auto"
    dtype: DtypeChoice = "auto"
    grid: Grid | None = None
    skip_background: bool = True
    sharpness: Sharpness = "auto"
    mpp: float | None = None
    icc: bool = True
    image: int | None = None
    """Of a file that holds several."""


class JobContext:
    """A job's slide, model and plan, open in this process; a context manager.

    Parameters
    ----------
    job : Job
        What to open.

    Raises
    ------
    SlideError, ModelError, RequestError
        If one of them cannot be opened, or the request not be served.
    """

    def __init__(self, job: Job) -> None:
        cache = TileCache(_SLIDE_BYTES)
        self.slide = open_slide(job.slide, job.mpp, job.icc, cache, job.image)
        try:
            model = load_model(job.model)
            region = self.slide.bounds if job.region is None else job.region
            request = EnhanceRequest(region, job.downsample, job.reference, job.grid, job.sharpness)
            self.plan = make_plan(self.slide, model, request)
            self.engine = Engine(
                model, job.device, 0, dtype=job.dtype, skip_background=job.skip_background
            )
            self.provenance = provenance(self.slide, self.plan, self.engine)
        except BaseException:
            self.slide.close()
            raise
        self.borders = BorderTiles()

    def __enter__(self) -> JobContext:
        """The context itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the slide."""
        self.slide.close()
