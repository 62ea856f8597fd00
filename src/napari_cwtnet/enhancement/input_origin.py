"""Where the network's input comes from: a stored level of the slide, or finer pixels."""

from __future__ import annotations

from dataclasses import dataclass

from napari_cwtnet.enhancement.plan import Plan
from napari_cwtnet.slides import Slide
from napari_cwtnet.slides.backend import best_level, is_of
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
