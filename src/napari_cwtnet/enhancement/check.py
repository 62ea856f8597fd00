"""Check: hide the finest pixels of a slide, recompute them, and measure the error.

LR is made as the slide's own levels are (see :mod:`napari_cwtnet.slides.check_levels`), so the
figures show what the model is worth on this slide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement.forward import DtypeChoice
from napari_cwtnet.enhancement.plan import KERNELS, Mode, ReferenceChoice, Sharpness
from napari_cwtnet.enhancement.quality import Quality
from napari_cwtnet.enhancement.result import enhance
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region, magnification
from napari_cwtnet.model import Model
from napari_cwtnet.slides import Slide
from napari_cwtnet.slides.check_levels import (
    MOST_LIKELY,
    MadeBy,
    check_levels,
    truth_downsample,
)
from napari_cwtnet.slides.degradation import Degradation

_LEVEL = {
    "stored level": "stored level, {}",
    "fitted": "level made as the slide's own are, {}",
    "assumed": "level made, its kernel assumed: {}",
}
FIELD_SIDE = 768
"""Side of a field of :func:`tissue_fields`, pixels of the truth."""
FIELDS = 4
_THUMBNAIL = 1024
_TISSUE = 0.25
"""Least texture of a field, relative to the field with most."""


@dataclass(frozen=True, slots=True)
class Check:
    """A model's quality on a slide, at a downsample where the slide holds the truth."""

    quality: Quality
    """Mean over the regions."""
    per_region: tuple[Quality, ...]
    regions: tuple[Region, ...]
    """Level-0 pixels."""
    mode: Mode
    downsample: float
    """Of LR."""
    scale: int
    mpp: float | None
    """µm per pixel of SR and truth."""
    degradation: Degradation
    """Of LR."""
    reference_degradation: Degradation | None
    made_by: MadeBy
    model: str
    """Its name."""

    @property
    def sentence(self) -> str:
        """What was measured, and the result."""
        what = what_is_checked(self.mpp, self.downsample, self.scale)
        if self.mode == "oracle":
            return f"{what}: ORACLE, the model was given the answer; its gain is not known."
        words = f"{what}: {self.quality.comparison('WORSE')}"
        if " WORSE " in words:
            words += "; do not use this model on this slide"
        return f"{words} ({_LEVEL[self.made_by].format(self.degradation)})."

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        reference = self.reference_degradation
        return {
            "model": self.model,
            **self.quality.as_dict(),
            "mode": self.mode,
            "scale": self.scale,
            "downsample": self.downsample,
            "mpp": self.mpp,
            "made_by": self.made_by,
            "degradation": self.degradation.as_dict(),
            "reference_degradation": None if reference is None else reference.as_dict(),
            "regions": [
                {"region": [r.x, r.y, r.width, r.height], **quality.as_dict()}
                for r, quality in zip(self.regions, self.per_region, strict=True)
            ],
        }


def check(
    slide: Slide,
    model: Model,
    regions: Sequence[Region | Sequence[float]] = (),
    downsample: float | None = None,
    *,
    reference: ReferenceChoice = "auto",
    sharpness: Sharpness = "auto",
    device: str = "auto",
    dtype: DtypeChoice = "auto",
    cancel: CancelToken | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Check:
    """Measure a model on a slide's own pixels.

    Parameters
    ----------
    slide : Slide
        An open slide.
    model : Model
        The model to measure.
    regions : sequence of Region or (x, y, width, height)
        Level-0 pixels; by default a few fields with tissue.
    downsample : float, optional
        Level-0 pixels per LR pixel, at least the model's scale, which is the default.
    reference, device, dtype
        See :func:`~napari_cwtnet.enhancement.enhance`.
    sharpness : {"auto", "sharp", "medium", "soft", "softest"}
        Kernel to make a level with where the slide's own levels do not reveal theirs.
    cancel : CancelToken, optional
        Stops the work within one tile.
    progress : callable, optional
        Called after each region with the number of regions done and the total.

    Raises
    ------
    RequestError
        If the slide holds no truth at that downsample, or is itself computed.
    ModelError, SlideError
        If the model or the slide cannot be used.
    CancelledError
        If ``cancel`` was called.
    """
    refuse_computed(slide)
    downsample = float(model.scale) if downsample is None else downsample
    finest = truth_downsample(downsample, model.scale)
    fields = tuple(map(Region.of, regions)) or tissue_fields(slide, finest)
    likely = KERNELS.get(sharpness, MOST_LIKELY)
    found, shown = [], []
    for done, region in enumerate(fields, start=1):
        levels = check_levels(slide, region, downsample, model.scale, likely)
        with levels.slide as pyramid:
            result = enhance(
                pyramid,
                pyramid.bounds,
                model.scale,
                model=model,
                reference=reference,
                device=device,
                dtype=dtype,
                cancel=cancel,
            )
            known = pyramid.degradation(model.scale)
            finer = pyramid.degradation(model.scale // 2) if result.plan.with_reference else None
        found.append(result.metrics)
        shown.append(levels.region)
        if progress is not None:
            progress(done, len(fields))
    return Check(
        quality=_mean(found),
        per_region=tuple(found),
        regions=tuple(shown),
        mode=result.mode,
        downsample=downsample,
        scale=model.scale,
        mpp=result.mpp,
        degradation=known,
        reference_degradation=finer,
        made_by=levels.made_by,
        model=model.name,
    )


def what_is_checked(mpp: float | None, downsample: float, scale: int) -> str:
    """A check in words: ``Check: 10× → 20× against the slide's own 20×``.

    Parameters
    ----------
    mpp : float, optional
        µm per pixel of SR and truth.
    downsample : float
        Of LR.
    scale : int
        Super-resolution factor.

    >>> what_is_checked(0.5, 2, 2)
    "Check: 10× → 20× against the slide's own 20×"
    >>> what_is_checked(None, 2, 2)
    "Check: downsample 2 → 1 against the slide's own pixels"
    """
    fine, coarse = (None if mpp is None else magnification(mpp * s) for s in (1, scale))
    if fine is not None and coarse is not None:
        return f"Check: {coarse}× → {fine}× against the slide's own {fine}×"
    if mpp is not None:
        step = f"{mpp * scale:.3g} → {mpp:.3g} µm/px"
    else:
        step = f"downsample {downsample:g} → {downsample / scale:g}"
    return f"Check: {step} against the slide's own pixels"


def refuse_computed(slide: Slide) -> None:
    """Refuse a slide that is itself computed: it holds no truth.

    Raises
    ------
    RequestError
        If it is.
    """
    if slide.computed is not None:
        raise RequestError(
            f"Slide {slide.path.name!r} is itself computed ({slide.computed}) and holds no truth; "
            "check the model on the slide that it was made of."
        )


def tissue_fields(
    slide: Slide,
    finest: float = 1.0,
    count: int = FIELDS,
    side: int = FIELD_SIDE,
    *,
    at_random: bool = False,
) -> tuple[Region, ...]:
    """Fields with the most texture, spread over a slide; the whole of a small one.

    Empty glass is left out, so there may be fewer.

    Parameters
    ----------
    slide : Slide
        Open.
    finest : float
        Level-0 pixels per pixel of the truth.
    count : int
        Largest number of fields.
    side : int
        Side of a field, pixels of the truth.
    at_random : bool
        Whether to draw among all fields with tissue, always the same of one slide.
    """
    length = side * finest
    bounds = slide.bounds
    columns, rows = int(bounds.width // length), int(bounds.height // length)
    if columns * rows <= 1:
        return (bounds,)
    picture = slide.thumbnail(_THUMBNAIL).astype(np.float32).mean(2)
    texture: dict[tuple[int, int], float] = {}
    step_y, step_x = picture.shape[0] / rows, picture.shape[1] / columns
    for row in range(rows):
        for column in range(columns):
            part = picture[
                int(row * step_y) : max(int((row + 1) * step_y), int(row * step_y) + 1),
                int(column * step_x) : max(int((column + 1) * step_x), int(column * step_x) + 1),
            ]
            texture[row, column] = float(part.std())
    enough = _TISSUE * max(texture.values())
    best = sorted((p for p, found in texture.items() if found >= enough), key=lambda p: -texture[p])
    if at_random:
        best = [best[n] for n in np.random.default_rng(0).permutation(len(best))[:count]]
    chosen: list[tuple[int, int]] = []
    for apart in (True, False):  # neighbours as a last resort
        for row, column in best:
            near = any(abs(row - r) <= 1 and abs(column - c) <= 1 for r, c in chosen)
            if len(chosen) < count and (row, column) not in chosen and not (apart and near):
                chosen.append((row, column))
    free_x = (bounds.width - columns * length) / columns
    free_y = (bounds.height - rows * length) / rows
    return tuple(
        Region(column * (length + free_x) // 1, row * (length + free_y) // 1, length, length)
        for row, column in sorted(chosen)
    )


def _mean(figures: Sequence[Quality]) -> Quality:
    """Mean over the regions with a gain: on empty glass bicubic is exact, so there is none."""
    counted = [one.as_dict() for one in figures if one.gain is not None]
    counted = counted or [one.as_dict() for one in figures]
    means: dict[str, float | None] = {}
    for name in counted[0]:
        values = [v for v in (one[name] for one in counted) if v is not None]
        means[name] = float(np.mean(values)) if values else None
    return Quality(**means)
