"""The field that is inspected: captured, seen map by map, probed patch by patch, let go of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_cwtnet.inspection import Map, Probe
from napari_cwtnet.inspection.attention import check_place
from napari_cwtnet.inspection.calibration import Calibration
from napari_cwtnet.plugin.tasks.device import ENGINES
from napari_cwtnet.plugin.tasks.enhance import Job
from napari_cwtnet.plugin.tasks.inspect import (
    Captured,
    MapSelection,
    ask_patch,
    calibrate_slide,
    capture_field,
    make_map,
)
from napari_cwtnet.plugin.tasks.runner import Run, Task, TaskRunner, Work


@dataclass(frozen=True, slots=True)
class View:
    """What is to be on the canvas."""

    selection: MapSelection
    map: Map | None
    """None if there is nothing to see yet."""
    probe: Probe | None = None


class InspectSession(QObject):
    """One field at a time, and the work that it takes.

    Attributes
    ----------
    field_changed : Signal
        There is another field, or none.
    found : Signal(View)
        What :meth:`look` or :meth:`ask` wanted to see.
    """

    field_changed = Signal()
    found = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.runner = TaskRunner(self)
        self.runner.ended.connect(self._on_end)
        self.captured: Captured | None = None
        self.slide_layer: Any = None
        """What the field was captured from."""
        self.place: tuple[float, float] | None = None
        """The patch that was asked last, level-0 pixels."""
        self._capturing: Any = None
        self._spread: NDArray[Any] | None = None

    @property
    def capturing(self) -> bool:
        """Whether another field is being captured; maps of the present one wait meanwhile."""
        return self._capturing is not None

    def capture(self, job: Job, slide_layer: Any) -> None:
        """Capture a field in place of the present one."""

        def answer(captured: Captured) -> None:
            self._capturing = None
            self._set(captured, slide_layer)

        self._capturing = slide_layer
        self._start("Capturing…", partial(capture_field, job), answer)

    def look(self, selection: MapSelection) -> None:
        """Find what is chosen; while a field is being captured, that will ask for it at its end."""
        captured = self.captured
        if captured is None or self.capturing:
            return
        if selection.show == "probe":
            self.runner.cancel()
            if self.place is None:
                self.found.emit(View(selection, None))
            else:
                self.ask(*self.place, selection)
            return

        def answer(made: tuple[Map, NDArray[Any] | None]) -> None:
            found, self._spread = made
            self.found.emit(View(selection, found))

        words = "Turning and flipping…" if selection.show == "spread" else "Making the map…"
        self._start(words, partial(make_map, captured, selection, turned=self._spread), answer)

    def calibrate(self) -> None:
        """Calibrate on the slide of the field, then announce the field again with its mark."""
        captured = self.captured
        if captured is None or self.capturing:
            return

        def answer(found: Calibration) -> None:
            self.captured = replace(captured, calibration=found)
            self.field_changed.emit()

        self._start("Calibrating on this slide…", partial(calibrate_slide, captured), answer)

    def ask(self, x: float, y: float, selection: MapSelection) -> None:
        """Find what is most like the patch at a place, level-0 pixels, in the chosen block.

        Raises
        ------
        RequestError
            If the place is outside the field.
        """
        captured = self.captured
        if captured is None or self.capturing:
            return
        check_place(captured.field.plan.region, x, y)
        self.place, block = (x, y), selection.block or 1

        def answer(found: tuple[Probe, Map]) -> None:
            self.found.emit(View(selection, found[1], found[0]))

        self._start("Probing…", lambda *_: ask_patch(captured, x, y, block), answer)

    def forget_layer(self, layer: Any) -> None:
        """Let go of a field whose slide has gone, or end its capture."""
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
        ENGINES.release()

    def _start(self, words: str, work: Work, answer: Any) -> None:
        self.runner.submit(Task(words, lambda: Run(work), answer))

    def _set(self, captured: Captured | None, slide_layer: Any) -> None:
        self.captured, self.slide_layer = captured, slide_layer
        self._spread = self.place = None
        self.field_changed.emit()

    def _on_end(self, *_: Any) -> None:
        self._capturing = None
