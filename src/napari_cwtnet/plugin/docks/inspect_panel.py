"""The widgets of the Inspect dock, from top to bottom."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_cwtnet.plugin.docks.enhance_form import EnhanceForm
from napari_cwtnet.plugin.docks.inspect_form import LookingForm
from napari_cwtnet.plugin.docks.map_legend import MapLegend
from napari_cwtnet.plugin.docks.parts import enable, show_progress, thin_bar, words_label
from napari_cwtnet.plugin.inspect_run import Ending
from napari_cwtnet.plugin.inspect_work import Captured
from napari_cwtnet.plugin.inspecting import Inspector


class InspectPanel(QWidget):
    """Buttons, choices, what is at work, and the legend of the map."""

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
        self.form, self.looking, self.legend = EnhanceForm(), LookingForm(), MapLegend()
        self.sentence, self.status, self.said = (words_label() for _ in range(3))
        self.said.setStyleSheet("font-weight: 600;")
        self.said.hide()
        self._bar = thin_bar()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.view_button)
        layout.addLayout(_row(self.roi_button, self.clear_button, self.cancel_button))
        for part in (self.sentence, self.form, self._bar, self.status, self.said):
            layout.addWidget(part)
        layout.addWidget(self.looking)
        layout.addWidget(self.legend)
        layout.addLayout(_row(self.copy_button, self.release_button))

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

    def show_work(self, runner: Inspector, *, possible: bool) -> None:
        """Show what is at work, and whether there is something to choose meanwhile."""
        self.cancel_button.setEnabled(runner.busy)
        self.looking.setEnabled(possible)
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


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget, 1)
    return row
