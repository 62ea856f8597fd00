"""What the Inspect dock has computed: a field, a map of it, one patch. Not for the GUI's thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Engine
from napari_cwtnet.inspection import (
    Extrapolation,
    Field,
    Map,
    Probe,
    band_maps,
    capture,
    energies,
    extrapolation,
    haar,
    images,
    maps,
    probe,
    spread,
    told,
    trust_maps,
)
from napari_cwtnet.model.config import Band
from napari_cwtnet.plugin.engines import Engines
from napari_cwtnet.plugin.inspect_choice import FieldJob, Looking
from napari_cwtnet.plugin.inspect_run import Steps


@dataclass(frozen=True, slots=True)
class Captured:
    """A field with all that is told about it as a whole."""

    job: FieldJob
    field: Field
    extrapolation: Extrapolation | None
    energies: dict[str, dict[str, float]]
    """Of each image, at depth 1."""

    @property
    def sentence(self) -> str:
        """How far the model can be trusted on this field, in words."""
        return told(self.field, self.extrapolation)


def capture_field(engines: Engines, job: FieldJob, cancel: CancelToken, steps: Steps) -> Captured:
    """Capture, then run the model an octave lower.

    Raises
    ------
    CwtnetError
        If that cannot be done, or was cancelled.
    """
    engine = _engine(engines, job)
    field = capture(
        job.slide,
        engine,
        job.request,
        cancel=cancel,
        progress=lambda done, total: steps(done, total + 1),  # the last one is the octave lower
    )
    gained = extrapolation(job.slide, engine, field, cancel=cancel)
    found = {name: energies(haar(image)) for name, image in images(field).items()}
    return Captured(job, field, gained, found)


def make_map(
    engines: Engines,
    captured: Captured,
    looking: Looking,
    cancel: CancelToken,
    steps: Steps,
    *,
    turned: NDArray[Any] | None,
) -> tuple[Map | None, NDArray[Any] | None]:
    """The map that is chosen, and the spread over flips and turns, if it is known by now.

    The map is None where there is nothing to see: steps to matches of a model that looks only at
    the same place.

    Raises
    ------
    CwtnetError
        If the field does not bear it, or it was cancelled.
    """
    field = captured.field
    if looking.show == "displacement" and field.aligned:
        return None, turned
    if looking.show == "trust" and looking.trust == "spread" and turned is None:
        engine = _engine(engines, captured.job)
        turned = spread(field, engine, cancel=cancel, progress=steps)
    found = _map(field, looking, turned)
    return (found.stretched if looking.stretched else found), turned


def ask_patch(
    engines: Engines, captured: Captured, x: float, y: float, block: int
) -> tuple[Probe, Map]:
    """What is most like the patch at a level-0 place.

    Raises
    ------
    CwtnetError
        If the place is outside the field, or the model has changed.
    """
    engine = _engine(engines, captured.job)
    found = probe(captured.field, engine, x, y, block=block)
    return found, maps.probe_map(captured.field, found)


def _engine(engines: Engines, job: FieldJob) -> Engine:
    return engines.get(job.model, job.device, job.dtype)


def _map(field: Field, looking: Looking, turned: NDArray[Any] | None) -> Map:
    if looking.show == "attention":
        return maps.attention_map(field, looking.block)
    if looking.show == "displacement":
        return maps.displacement_map(field, looking.block or 1)
    if looking.show == "trust":
        return trust_maps.trust_map(field, looking.trust, turned)
    if looking.image in ("predicted", "target"):
        name = f"wt-{looking.image}-{looking.band}"
        return next(one for one in band_maps.prediction_maps(field) if one.name == name)
    band: Band = looking.band  # type: ignore[assignment]
    return band_maps.band_map(field, looking.image, band, looking.depth)
