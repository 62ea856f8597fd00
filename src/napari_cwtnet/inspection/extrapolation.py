"""What a result beyond native is worth: the same model on the same field, where truth is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Canvas, Engine, EnhanceRequest, Quality, make_plan, measure
from napari_cwtnet.enhancement.request import KERNELS, ReferenceChoice
from napari_cwtnet.inspection.field import Field
from napari_cwtnet.slides import Slide
from napari_cwtnet.slides.check_levels import MOST_LIKELY, check_levels

_NUMBERS = {1: "one octave", 2: "two octaves", 3: "three octaves"}


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """How much the model gains over bicubic, at the field's own octave and coarser."""

    octaves: int
    """How many octaves coarser than the field."""
    quality: Quality
    """Against the slide's own pixels, at that octave."""
    here: Quality | None = None
    """The same at the field's own octave, where the slide holds the truth."""

    @property
    def gain(self) -> float | None:
        """PSNR over bicubic in dB, coarser; None where the field is too small or empty to tell."""
        return _gain(self.quality)

    @property
    def gain_here(self) -> float | None:
        """PSNR over bicubic in dB at the field's own octave; None where that cannot be known."""
        return None if self.here is None else _gain(self.here)

    @property
    def sentence(self) -> str:
        """What the user is told."""
        down = _NUMBERS.get(self.octaves, f"{self.octaves} octaves")
        if self.quality.psnr is None:
            words = "The field is too small to try the model on it at a coarser octave."
        elif self.gain is None:
            words = f"On this field, {down} down, there is no detail to judge the model by."
        else:
            words = f"On this field, {down} down, the model {_gains(self.gain, self._over)}."
        if self.gain_here is not None:
            words += f" Here, where the slide holds the truth, it {_gains(self.gain_here)}."
        return words

    @property
    def _over(self) -> str:
        if self.quality.psnr_reference_bicubic is not None:
            return "bicubic enlargement of the reference, the finest image that it was given"
        return "bicubic enlargement of LR"


def extrapolation(
    slide: Slide, engine: Engine, field: Field, *, cancel: CancelToken | None = None
) -> Extrapolation | None:
    """Run the model on the same field, as many octaves coarser as truth asks for, at least one.

    Where a reference is used, the comparator is the bicubic enlargement of the reference: whoever
    has it can do that.

    Returns
    -------
    Extrapolation or None
        None where :func:`untold` says why it cannot be had.

    Raises
    ------
    CancelledError
        If ``cancel`` was called.
    """
    plan = field.plan
    if untold(field) is not None:
        return None
    octaves = 1
    while plan.output_downsample * 2**octaves < 1:
        octaves += 1
    downsample = plan.downsample * 2**octaves
    likely = KERNELS.get(plan.sharpness, MOST_LIKELY)
    knows_kernel = engine.known(slide, plan)[0].kernel is not None
    levels = check_levels(
        slide, plan.region, downsample, plan.scale, likely, tell_kernel=knows_kernel
    )
    with levels.slide as pyramid:
        reference: ReferenceChoice = "none" if plan.mode == "single-image" else "next"
        request = EnhanceRequest(pyramid.bounds, plan.scale, reference)
        coarser = make_plan(pyramid, engine.model, request)
        canvas = Canvas(coarser)
        for finished in engine.run(pyramid, coarser, cancel):
            canvas.add(finished.tile, finished.sr)
        quality = measure(pyramid, coarser, canvas.image, cancel)
    here = measure(slide, plan, field.sr, cancel) if plan.checkable else None
    return Extrapolation(octaves, quality, here)


def untold(field: Field) -> str | None:
    """Why nothing can be said of what the model gains on a field; None where it can."""
    if field.plan.source_computed:
        return "The image that was read is itself computed: nothing here can be checked."
    if field.plan.mode == "oracle":
        return "ORACLE: the network was given the answer, so there is no gain to speak of."
    return None


def told(field: Field, found: Extrapolation | None) -> str:
    """What the user is told of a field, whether it could be tried or not."""
    return untold(field) or ("" if found is None else found.sentence)


def _gain(quality: Quality) -> float | None:
    over = quality.psnr_reference_bicubic
    over = quality.psnr_bicubic if over is None else over
    if quality.psnr is None or over is None:
        return None
    # On empty glass bicubic is exact, and its PSNR infinite.
    return quality.psnr - over if math.isfinite(quality.psnr - over) else None


def _gains(decibels: float, comparator: str = "") -> str:
    shown = f"{abs(decibels):.1f} dB"
    if decibels >= 0 or shown == "0.0 dB":
        return f"gains {shown}" + (f" over {comparator}" if comparator else "")
    return f"LOSES {shown}" + (f" against {comparator}" if comparator else "")
