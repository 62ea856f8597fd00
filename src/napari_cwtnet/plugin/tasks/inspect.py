"""The work of an inspection: a field is captured, then made into maps; all of it in threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Engine
from napari_cwtnet.inspection import (
    CoarserScaleCheck,
    Field,
    Map,
    Probe,
    bands,
    capture,
    coarser_scale_check,
    energies,
    haar,
    images,
    maps,
    probe,
    self_ensemble_spread,
    trust,
    trust_sentence,
)
from napari_cwtnet.inspection.calibration import (
    Calibration,
    calibrate,
    keep_calibration,
    kept_calibration,
    marked_in,
)
from napari_cwtnet.inspection.field import check_model
from napari_cwtnet.model.config import Band
from napari_cwtnet.plugin.tasks.device import ENGINES, MODELS_IN_USE
from napari_cwtnet.plugin.tasks.enhance import Job
from napari_cwtnet.plugin.tasks.runner import Steps

Show = Literal[
    "expected-error",
    "predicted-error",
    "consistency",
    "spread",
    "error",
    "confidence",
    "local-psnr",
    "local-ssim",
    "attention",
    "displacement",
    "bands",
    "probe",
]
"""Those before ``attention`` are trust maps."""


@dataclass(frozen=True, slots=True)
class MapSelection:
    """What of a field is to be seen."""

    show: Show = "expected-error"
    block: int | None = None
    image: str = "sr"
    band: str = "HH"
    depth: int = 1
    stretched: bool = False


@dataclass(frozen=True, slots=True)
class Captured:
    """A field, and what was measured of it as a whole."""

    job: Job
    field: Field
    coarser_scale: CoarserScaleCheck | None
    energies: dict[str, dict[str, float]]
    """Of each image, at depth 1."""
    calibration: Calibration | None = None
    """Of the slide, where it was calibrated before."""

    @property
    def sentence(self) -> str:
        """How far the model can be trusted on this field, in words."""
        words = trust_sentence(self.field, self.coarser_scale)
        return words if self.calibration is None else f"{words} {self.calibration.sentence}"


def capture_field(job: Job, cancel: CancelToken, steps: Steps) -> Captured:
    """Capture, then run the model an octave lower.

    Raises
    ------
    CwtnetError
        If that cannot be done, or was cancelled.
    """
    engine = _engine(job)
    with MODELS_IN_USE.by(job.model):
        field = capture(
            job.slide,
            engine,
            job.request,
            cancel=cancel,
            progress=lambda done, total: steps(done, total + 1),  # the last one is the octave lower
        )
        gained = coarser_scale_check(job.slide, engine, field, cancel=cancel)
    found = {name: energies(haar(image)) for name, image in images(field).items()}
    known = kept_calibration(job.slide, engine, field.plan)
    return Captured(job, field, gained, found, known)


def calibrate_slide(captured: Captured, cancel: CancelToken, steps: Steps) -> Calibration:
    """Calibrate the expected error on the slide of a field, and keep the result.

    Raises
    ------
    CwtnetError
        If that cannot be done, or was cancelled.
    """
    slide, engine, plan = captured.job.slide, _engine(captured.job), captured.field.plan
    check_model(captured.field, engine)
    with MODELS_IN_USE.by(captured.job.model):
        found = calibrate(slide, engine, plan, cancel=cancel, progress=steps)
    keep_calibration(slide, engine, plan, found)
    return found


def marked(captured: Captured) -> NDArray[np.bool_] | None:
    """The squares of the field that the calibration marks; None without one that promises."""
    field, calibration = captured.field, captured.calibration
    if calibration is None or calibration.threshold is None or field.error is None:
        return None
    return marked_in(field, calibration)


def make_map(
    captured: Captured,
    selection: MapSelection,
    cancel: CancelToken,
    steps: Steps,
    *,
    turned: NDArray[Any] | None,
) -> tuple[Map, NDArray[Any] | None]:
    """The map that is chosen, and the spread over flips and turns, if it is known by now.

    Raises
    ------
    CwtnetError
        If the field does not bear it, or it was cancelled.
    """
    field = captured.field
    if selection.show == "spread" and turned is None:
        turned = self_ensemble_spread(field, _engine(captured.job), cancel=cancel, progress=steps)
    found = _map(field, selection, turned)
    return (found.stretched if selection.stretched else found), turned


def ask_patch(captured: Captured, x: float, y: float, block: int) -> tuple[Probe, Map]:
    """What is most like the patch at a level-0 place.

    Raises
    ------
    CwtnetError
        If the place is outside the field, or the model has changed.
    """
    found = probe(captured.field, _engine(captured.job), x, y, block=block)
    return found, maps.probe_map(captured.field, found)


def _engine(job: Job) -> Engine:
    return ENGINES.get(job.model, job.device, job.dtype)


def _map(field: Field, selection: MapSelection, turned: NDArray[Any] | None) -> Map:
    if selection.show == "attention":
        return maps.attention_map(field, selection.block)
    if selection.show == "displacement":
        return maps.displacement_map(field, selection.block or 1)
    if selection.show in trust.TRUST:
        return trust.trust_map(field, selection.show, turned)
    if selection.image in ("predicted", "target"):
        name = f"wt-{selection.image}-{selection.band}"
        return next(one for one in bands.prediction_maps(field) if one.name == name)
    band: Band = selection.band  # type: ignore[assignment]
    return bands.band_map(field, selection.image, band, selection.depth)
