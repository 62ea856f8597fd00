"""The Inspect dock: reads its widgets, hands over, and shows what comes back."""

from __future__ import annotations

from typing import Any

from napari.utils.notifications import show_error
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.plugin.docks.dock import Dock
from napari_cwtnet.plugin.docks.inspect_form import MapForm
from napari_cwtnet.plugin.docks.model_form import ModelForm
from napari_cwtnet.plugin.docks.widgets import (
    DECIBELS,
    copy,
    enable,
    show_progress,
    thin_bar,
    words_label,
)
from napari_cwtnet.plugin.tasks.inspect import Captured, marked
from napari_cwtnet.plugin.tasks.runner import Ending, TaskRunner
from napari_cwtnet.plugin.viewer.canvas import CanvasClicks
from napari_cwtnet.plugin.viewer.command_line import command_line, inspect_words
from napari_cwtnet.plugin.viewer.inspect_session import InspectSession, View
from napari_cwtnet.plugin.viewer.map_layers import MapLayers
from napari_cwtnet.plugin.viewer.requests import field_job
from napari_cwtnet.plugin.viewer.selection import shown_result, source_layer_in, source_of
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.plugin.viewer.stain_hint import StainHints
from napari_cwtnet.plugin.viewer.viewport import place_at

_CALIBRATE_TIP = (
    "Test the model on a dozen fields of this slide, which takes some seconds, and mark what not "
    "to rely on; says how much such a mark may miss, and is remembered for this slide"
)


class InspectPanel(QWidget):
    """Buttons, choices, what is at work, and the map that is looked at."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.view_button = QPushButton("Inspect view")
        self.roi_button = QPushButton("Inspect ROI")
        self.cancel_button = QPushButton("Cancel")
        self.clear_button = QPushButton("Clear map")
        self.clear_button.setToolTip("Take the map off the canvas; the field is kept")
        self.copy_button = QPushButton("Copy as command")
        self.copy_button.setToolTip(
            "Copy the command line that writes the maps of this field, or of the view if there is "
            "none, as files and one page"
        )
        self.release_button = QPushButton("Release memory")
        self.release_button.setToolTip("Drop the field with its map, and the networks")
        self.form, self.looking = ModelForm(), MapForm()
        self.sentence, self.status, self.said = (words_label() for _ in range(3))
        self.said.setStyleSheet("font-weight: 600;")
        self.said.setToolTip(DECIBELS)
        self.said.hide()
        self.calibrate_button = QPushButton("Calibrate on this slide")
        self.calibrate_button.setToolTip(_CALIBRATE_TIP)
        self.calibrate_button.hide()
        self.no_calibration = words_label()
        self.no_calibration.hide()
        self._bar = thin_bar()
        layout = QVBoxLayout(self)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout.addLayout(_row(self.view_button, self.roi_button))
        layout.addLayout(_row(self.clear_button, self.cancel_button))
        for part in (
            self.sentence,
            self.form,
            self._bar,
            self.status,
            self.said,
        ):
            layout.addWidget(part)
        layout.addWidget(self.calibrate_button)
        layout.addWidget(self.no_calibration)
        layout.addWidget(self.looking)
        layout.addWidget(self.copy_button)
        layout.addWidget(self.release_button, alignment=Qt.AlignmentFlag.AlignRight)

    def show_sentence(self, words: str, *, possible: bool) -> None:
        """Say what would be captured, or why nothing can."""
        self.sentence.setText(words)
        enable(self.view_button, possible, words)
        self.copy_button.setEnabled(possible or not self.said.isHidden())

    def show_roi(self, words: str, *, possible: bool) -> None:
        """Say the same of the ROI, where the mouse rests on its button."""
        enable(self.roi_button, possible, words)

    def show_field(self, captured: Captured | None) -> None:
        """Offer what a field holds; None takes all of it away."""
        self.said.setText("" if captured is None else captured.sentence)
        self.said.setVisible(captured is not None)
        self.looking.offer(captured)
        self.calibrate_button.setVisible(captured is not None)
        words = "" if captured is None else _why_not_calibrated(captured)
        self.no_calibration.setText(words)
        self.no_calibration.setVisible(bool(words))
        self.calibrate_button.setToolTip(words or _CALIBRATE_TIP)
        again = captured is not None and captured.calibration is not None
        self.calibrate_button.setText("Calibrate again" if again else "Calibrate on this slide")

    def show_work(self, runner: TaskRunner, *, possible: bool) -> None:
        """Show what is at work, and whether there is something to choose meanwhile."""
        self.cancel_button.setEnabled(runner.busy)
        self.looking.setEnabled(possible)
        calibratable = not self.no_calibration.text()
        self.calibrate_button.setEnabled(possible and calibratable and not runner.busy)
        self._bar.setVisible(runner.busy)
        done, total = runner.progress
        show_progress(self._bar, done, total)
        if runner.busy:
            self.status.setText(runner.words)

    def show_ending(self, ending: Ending) -> None:
        """Say how the work has ended."""
        self.status.setText(
            {"done": "", "cancelled": "Cancelled", "failed": ending.message}[ending.kind]
        )


def _why_not_calibrated(captured: Captured) -> str:
    """Why the slide cannot be calibrated for a field's model; empty where it can."""
    if captured.field.error is not None:
        return ""
    return "This model predicts no error to calibrate; choose another."


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget, 1)
    return row


class InspectDock(Dock):
    """Look inside the network, over what is on the screen.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    """

    help_page = "how-to/look-inside"

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.session = InspectSession(self)
        self.controller = self.session.runner
        self.layers = MapLayers(napari_viewer)
        self._stains = StainHints(self._rest.on_change)
        self.panel = InspectPanel()
        self.form, self.looking = self.panel.form, self.panel.looking
        self.legend = self.looking.legend
        self._fill(self.panel)
        self._clicks = CanvasClicks(napari_viewer, self._on_click)
        self._clicks.listen()
        self._connect()
        self.show_all()

    def inspect_view(self) -> None:
        """Capture what the canvas shows."""
        self._capture(roi=False)

    def inspect_roi(self) -> None:
        """Capture the bounding box of the selected shape."""
        self._capture(roi=True)

    def _capture(self, *, roi: bool) -> None:
        layer = self._layer = source_layer_in(self._viewer, self._layer)
        try:
            job, _, _ = field_job(self._viewer, layer, self.form.choice, roi=roi)
        except CwtnetError as error:
            show_error(str(error))
            self._on_rest()
            return
        self.session.capture(job, layer)

    def ask(self, x: float, y: float) -> None:
        """Probe the patch at a place, level-0 pixels."""
        try:
            self.session.ask(x, y, self.looking.selection)
        except CwtnetError as error:
            self.panel.status.setText(str(error))

    def copy_command(self) -> str | None:
        """Put the command line on the clipboard that writes these maps, or those of the view."""
        captured, looking, place, depth = self.captured, self.looking.selection, None, 1
        trust = captured is not None and captured.calibration is not None
        try:
            if captured is None:
                layer = source_layer_in(self._viewer, self._layer)
                job, _, _ = field_job(self._viewer, layer, self.form.choice)
            else:
                job, layer = captured.job, self.session.slide_layer
                place = self.session.place if looking.show == "probe" else None
                depth = looking.depth if looking.show == "bands" else 1
        except CwtnetError as error:
            show_error(str(error))
            return None
        shown = slide_of(layer) or job.slide
        line = command_line(inspect_words(job, shown, place=place, depth=depth, trust=trust))
        copy(line)
        return line

    @property
    def captured(self) -> Captured | None:
        """The field that is looked into."""
        return self.session.captured

    @property
    def sentence(self) -> str:
        """What would be captured, or why nothing can, as shown."""
        return str(self.panel.sentence.text())

    @property
    def said(self) -> str:
        """What the model gains on this field, as shown."""
        return str(self.panel.said.text())

    @property
    def status(self) -> str:
        """What is happening or has happened, as shown."""
        return str(self.panel.status.text())

    def show_all(self) -> None:
        """Say what would be captured and what is at work."""
        self._on_rest()
        self._show_work()

    def leave(self) -> None:
        """End the work when the dock is taken out of its window."""
        self.controller.cancel()
        self._clicks.stop()

    def enter(self) -> None:
        """Listen to clicks."""
        self._clicks.listen()

    def _connect(self) -> None:
        panel, session = self.panel, self.session
        panel.view_button.clicked.connect(lambda _: self.inspect_view())
        panel.roi_button.clicked.connect(lambda _: self.inspect_roi())
        panel.cancel_button.clicked.connect(lambda _: self.controller.cancel())
        panel.clear_button.clicked.connect(lambda _: self._clear())
        panel.copy_button.clicked.connect(lambda _: self.copy_command())
        panel.release_button.clicked.connect(lambda _: self.session.release())
        panel.calibrate_button.clicked.connect(lambda _: self.session.calibrate())
        panel.form.changed.connect(self._on_rest)
        panel.looking.changed.connect(self._look)
        session.field_changed.connect(self._show_field)
        session.found.connect(self._show_view)
        session.runner.changed.connect(self._show_work)
        session.runner.ended.connect(self._show_ending)
        self._rest.follow(self._viewer)
        self._viewer.layers.events.removed.connect(self._on_removed)

    def _look(self) -> None:
        """Bring what is chosen on the canvas, once it is found."""
        self.session.look(self.looking.selection)

    def _clear(self) -> None:
        self.layers.clear()
        self.legend.hide()

    def _on_click(self, position: tuple[float, ...]) -> None:
        """A click asks the patch under it while probing."""
        layer = self.session.slide_layer
        if not isalive(self) or self.captured is None or self._viewer.dims.ndisplay != 2:
            return
        active = self._viewer.layers.selection.active
        panning = active is None or str(active.mode) == "pan_zoom"
        if self.looking.selection.show == "probe" and self.looking.isVisible() and panning:
            self.ask(*place_at(self._viewer, layer, position))

    def _on_removed(self, event: Any) -> None:
        if isalive(self):  # napari's events outlive the dock
            self.session.forget_layer(event.value)

    def _on_rest(self) -> None:
        """Say what would be captured now."""
        layer = self._layer = source_layer_in(self._viewer, self._layer)
        made = source_of(shown_result(self._viewer))
        self.form.model.suggest(None if made is None else made.job.model)
        self.form.set_slide(slide_of(layer))
        hint = self._stains.hint_of(slide_of(layer), self.form.choice.model)
        for roi, show in ((False, self.panel.show_sentence), (True, self.panel.show_roi)):
            try:
                _, _, sentence = field_job(self._viewer, layer, self.form.choice, roi=roi)
            except CwtnetError as error:
                show(str(error), possible=False)
            else:
                show("\n".join(filter(None, (sentence, hint))), possible=True)

    def _show_field(self) -> None:
        """Tell about another field, or none."""
        self.panel.show_field(self.captured)
        if self.captured is None:
            self._clear()
        else:
            self._look()

    def _show_view(self, view: View) -> None:
        captured = self.captured
        if view.map is None or captured is None:
            self._clear()
            return
        self.layers.show(self.session.slide_layer, view.map, captured.field.plan.badge)
        self.legend.show_map(view.map)
        squares = marked(captured)
        if squares is not None:
            self.layers.show_mark(captured.field.plan, squares)
        if view.probe is not None:
            self.layers.show_patches(captured.field, view.probe)
        elif view.selection.show == "displacement":
            self.layers.show_steps(captured.field, view.selection.block or 1)

    def _show_work(self) -> None:
        self.panel.show_work(self.controller, possible=not self.session.capturing)

    def _show_ending(self, ending: Ending) -> None:
        self.panel.show_ending(ending)
        self._show_work()
