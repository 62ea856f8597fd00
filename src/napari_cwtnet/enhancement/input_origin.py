"""Where the network's input comes from: a stored level of the slide, or finer pixels."""

from __future__ import annotations

from dataclasses import dataclass

from napari_cwtnet.enhancement.plan import Plan
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import Slide
from napari_cwtnet.slides.backend import Pixels, best_level, is_of
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the network's input comes from."""

    stored: bool
    """Whether it is a level of the file; otherwise it was made here, from a finer one."""
    degradation: Degradation

    def __str__(self) -> str:
        """For people: ``made here, bicubic, without compression``."""
        if self.stored and self.degradation == UNKNOWN:
            return "stored in the slide; how it was made is not known"
        if self.stored:
            return f"stored in the slide, {self.degradation}"
        return f"made here, {self.degradation.kernel}, without compression"


def read_input(slide: Slide, plan: Plan, region: Region, downsample: float) -> Pixels:
    """Pixels as the plan's network gets them, ``(h, w, 3)`` uint8: LR, or the reference.

    From the level that the plan allows, where that level lies, its edge repeated.

    Parameters
    ----------
    slide, plan
        The slide, and what is to be done with it.
    region : Region
        Level-0 pixels; may reach beyond the slide.
    downsample : float
        Of the plan for LR, half of that for the reference.

    Raises
    ------
    SlideError
        If the slide cannot be read there.
    """
    return slide.read(
        region, downsample, replicate=True, source=plan.source_downsample, registered=True
    )


def input_origins(slide: Slide, plan: Plan) -> dict[str, Origin]:
    """The origin of ``LR`` and, where the network gets one, of ``Reference``."""
    found = {}
    downsamples = {"LR": plan.downsample, "Reference": plan.downsample / 2}
    for name, downsample in downsamples.items():
        if name == "LR" or plan.with_reference:
            source = min(downsample, plan.source_downsample)
            level = slide.levels[best_level(slide.levels, source)]
            degradation = slide.degradation(downsample, source=plan.source_downsample)
            found[name] = Origin(is_of(level, downsample), degradation)
    return found
