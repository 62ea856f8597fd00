"""The widgets of the Enhance dock, from top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_cwtnet.plugin.checking import Checker
from napari_cwtnet.plugin.docks.check_result import CheckResult
from napari_cwtnet.plugin.docks.compare_form import CompareForm
from napari_cwtnet.plugin.docks.enhance_form import EnhanceForm
from napari_cwtnet.plugin.docks.parts import enable, show_progress, thin_bar, words_label
from napari_cwtnet.plugin.docks.quality_table import QualityTable
from napari_cwtnet.plugin.docks.result_form import ResultForm
from napari_cwtnet.plugin.enhance_run import Outcome
from napari_cwtnet.plugin.enhance_words import progress_words
from napari_cwtnet.plugin.enhancing import Enhancer
from napari_cwtnet.plugin.inspect_run import Ending
from napari_cwtnet.plugin.results import Source, quality_of


class EnhancePanel(QWidget):
    """Buttons, choices, progress and figures; what can be done with a result.

    Parameters
    ----------
    viewer : Viewer
        Where results are.
    view_source : callable
        How the view would be enhanced now; raises `CwtnetError` where it cannot be.
    keep : callable
        Leaves a result's layer as it is; raises `CwtnetError` where nothing would change it.
    """

    def __init__(
        self, viewer: Any, view_source: Callable[[], Source], keep: Callable[[Any], None]
    ) -> None:
        super().__init__()
        self.view_button = QPushButton("Enhance view")
        self.roi_button = QPushButton("Enhance ROI")
        self.check_button = QPushButton("Check here")
        self.live = QCheckBox("Live")
        self.live.setToolTip("Enhance the view whenever the camera rests")
        self.cancel_button = QPushButton("Cancel")
        self.form, self.check, self.quality = EnhanceForm(), CheckResult(), QualityTable()
        self.compare = CompareForm(viewer)
        self.result = ResultForm(viewer, lambda: self.compare.comparer.meant, view_source, keep)
        self.sentence, self.status, self._bar = (
            words_label(),
            words_label(),
            thin_bar(keep_place=True),
        )
        self.release_button = QPushButton("Release memory")
        self.release_button.setToolTip("Drop networks and finished tiles; result layers stay")
        buttons = QHBoxLayout()
        for widget in (self.roi_button, self.live, self.cancel_button):
            buttons.addWidget(widget, 0 if widget is self.live else 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        first = QHBoxLayout()
        first.addWidget(self.view_button, 2)
        first.addWidget(self.check_button, 1)
        layout.addLayout(first)
        layout.addLayout(buttons)
        for part in (
            self.sentence, self.form, self._bar, self.status, self.quality, self.check
        ):  # fmt: skip
            layout.addWidget(part)
        for part in (self.compare, self.result):
            layout.addWidget(part)
        layout.addWidget(self.release_button, alignment=Qt.AlignmentFlag.AlignRight)

    def allow_view(self, possible: bool, words: str) -> None:
        """Let the view be enhanced or not; what would happen, or why nothing can."""
        enable(self.view_button, possible, words)
        enable(self.live, possible or self.live.isChecked(), self.live.toolTip())

    def allow_roi(self, possible: bool, words: str) -> None:
        """The same of the ROI."""
        enable(self.roi_button, possible, words)

    def allow_check(self, possible: bool, words: str) -> None:
        """Let the view be checked or not; what a check would compare, or why there is none."""
        more = "\nHides the finest pixels of the view, computes them again and measures."
        enable(self.check_button, possible, f"{words}.{more}" if possible else words)

    def show_run(self, controller: Enhancer, checker: Checker) -> None:
        """Show where the run or the check is; called some ten times a second."""
        busy, run = controller.busy, controller.run
        checking = checker.runner.busy
        tip = "Ends after the tile at work; Live goes off" if busy else "Nothing is running"
        if checking:
            tip = "Ends after the tile at work"
        enable(self.cancel_button, checking or (busy and not controller.cancelling), tip)
        self._bar.setVisible(busy or checking)
        if checking:
            show_progress(self._bar, 0, 0)
            self.status.setText(checker.runner.words)
            return
        if not busy:
            if controller.outcome is None:
                self.status.clear()
            return
        self.status.setText(progress_words(run, cancelling=controller.cancelling))
        if run is not None and run.picture is not None:
            show_progress(self._bar, run.done, len(run.picture.plan.tiles))
        if run is not None and run.phase != "measuring":
            self.quality.clear()

    def show_outcome(self, outcome: Outcome | None) -> None:
        """Say what has happened; None where nothing of it is shown."""
        if outcome is not None:
            self.status.setText(outcome.sentence)
        self.compare.refresh()

    def show_check_ending(self, ending: Ending) -> None:
        """Say how a check has ended."""
        self.status.setText(
            {"done": "", "cancelled": "Check cancelled", "failed": ending.message}[ending.kind]
        )

    def show_figures(self, viewer: Any) -> None:
        """How good the result is that is compared or shown, if that is known."""
        measured = quality_of(viewer, self.compare.comparer.meant)
        if measured is None:
            self.quality.clear()
        else:
            self.quality.show_quality(*measured)
