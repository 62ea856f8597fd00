"""The field that is looked into: captured, seen map by map, asked patch by patch, let go of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

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
from napari_cwtnet.inspection.attention import check_place
from napari_cwtnet.model.config import Band
from napari_cwtnet.plugin.tasks.device import Engines
from napari_cwtnet.plugin.tasks.inspect import Inspector, Steps, Task
from napari_cwtnet.plugin.viewer.requests import FieldJob, Looking


@dataclass(frozen=True, slots=True)
class Captured:
    """A field with all that is told about it as a whole."""

    job: FieldJob
    field: Field
    extrapolation: CoarserScaleCheck | None
    energies: dict[str, dict[str, float]]
    """Of each image, at depth 1."""

    @property
    def sentence(self) -> str:
        """How far the model can be trusted on this field, in words."""
        return trust_sentence(self.field, self.extrapolation)


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
    gained = coarser_scale_check(job.slide, engine, field, cancel=cancel)
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
        turned = self_ensemble_spread(field, engine, cancel=cancel, progress=steps)
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
        return trust.trust_map(field, looking.trust, turned)
    if looking.image in ("predicted", "target"):
        name = f"wt-{looking.image}-{looking.band}"
        return next(one for one in bands.prediction_maps(field) if one.name == name)
    band: Band = looking.band  # type: ignore[assignment]
    return bands.band_map(field, looking.image, band, looking.depth)


@dataclass(frozen=True, slots=True)
class View:
    """What is to be on the canvas."""

    looking: Looking
    map: Map | None
    """None where there is nothing to see."""
    probe: Probe | None = None


class InspectSession(QObject):
    """One field at a time, and the work that it takes.

    Attributes
    ----------
    field_changed : Signal
        There is another field, or none any more.
    found : Signal(View)
        What :meth:`look` or :meth:`ask` wanted to see.
    """

    field_changed = Signal()
    found = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.runner = Inspector(self)
        self.runner.ended.connect(self._on_end)
        self.captured: Captured | None = None
        self.slide_layer: Any = None
        """What the field was captured from."""
        self.place: tuple[float, float] | None = None
        """The patch that was asked last, level-0 pixels."""
        self._capturing: Any = None
        self._spread: NDArray[Any] | None = None
        self._engines = Engines()

    @property
    def capturing(self) -> bool:
        """Whether another field is being captured; maps of the present one wait meanwhile."""
        return self._capturing is not None

    def capture(self, job: FieldJob, slide_layer: Any) -> None:
        """Capture a field in place of the present one."""

        def answer(captured: Captured) -> None:
            self._capturing = None
            self._set(captured, slide_layer)

        self._capturing = slide_layer
        self.runner.start(Task("Capturing…", partial(capture_field, self._engines, job), answer))

    def look(self, looking: Looking) -> None:
        """Find what is chosen; while a field is being captured, that will ask for it at its end."""
        captured = self.captured
        if captured is None or self.capturing:
            return
        if looking.show == "probe":
            self.runner.cancel()
            if self.place is None:
                self.found.emit(View(looking, None))
            else:
                self.ask(*self.place, looking)
            return
        spread = looking.show == "trust" and looking.trust == "spread"

        def answer(made: tuple[Map | None, NDArray[Any] | None]) -> None:
            found, self._spread = made
            self.found.emit(View(looking, found))

        self.runner.start(
            Task(
                "Turning and flipping…" if spread else "Making the map…",
                partial(make_map, self._engines, captured, looking, turned=self._spread),
                answer,
            )
        )

    def ask(self, x: float, y: float, looking: Looking) -> None:
        """Find what is most like the patch at a place, level-0 pixels, in the block looked at.

        Raises
        ------
        RequestError
            If the place is outside the field.
        """
        captured = self.captured
        if captured is None or self.capturing:
            return
        check_place(captured.field.plan.region, x, y)
        self.place, engines, block = (x, y), self._engines, looking.block or 1

        def answer(found: tuple[Probe, Map]) -> None:
            self.found.emit(View(looking, found[1], found[0]))

        self.runner.start(
            Task(
                "Asking one patch…",
                lambda *_: ask_patch(engines, captured, x, y, block),
                answer,
            )
        )

    def forget_layer(self, layer: Any) -> None:
        """Let go of a field whose slide is shown no more, or end its capture."""
        if layer == self._capturing:
            self.runner.cancel()
        if layer == self.slide_layer:
            if not self.capturing:
                self.runner.cancel()
            self._set(None, None)

    def release(self) -> None:
        """Let go of the field, the networks and what they have finished; end what is at work."""
        self.runner.cancel()
        self._set(None, None)
        self._engines.release()

    def _set(self, captured: Captured | None, slide_layer: Any) -> None:
        self.captured, self.slide_layer = captured, slide_layer
        self._spread = self.place = None
        self.field_changed.emit()

    def _on_end(self, *_: Any) -> None:
        self._capturing = None
