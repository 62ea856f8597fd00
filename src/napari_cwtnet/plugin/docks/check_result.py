"""What a check found: one sentence, the figures, and the command for them."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_cwtnet.plugin.checking import Checked
from napari_cwtnet.plugin.command_line import check_words, command_line
from napari_cwtnet.plugin.docks.parts import copy, words_label
from napari_cwtnet.plugin.docks.quality_table import QualityTable
from napari_cwtnet.plugin.slide_layer import slide_of


class CheckResult(QWidget):
    """Hidden while there is nothing to show."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sentence, self.quality = words_label(), QualityTable()
        self.sentence.setStyleSheet("font-weight: 600;")
        self.copy_button = QPushButton("Copy check as command")
        self.copy_button.setToolTip("Copy the command line that gives these figures")
        self.copy_button.clicked.connect(lambda _: self.copy_command())
        self._checked: Checked | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.sentence)
        layout.addWidget(self.quality)
        layout.addWidget(self.copy_button, alignment=Qt.AlignmentFlag.AlignRight)
        self.hide()

    def show_check(self, checked: Checked | None) -> None:
        """Show what was found; None hides it."""
        self._checked = checked
        self.setVisible(checked is not None)
        if checked is not None:
            self.sentence.setText(checked.check.sentence)
            self.quality.show_check(checked.check)

    def copy_command(self) -> str | None:
        """Put the command line of the check on the clipboard; gives it."""
        checked: Any = self._checked
        if checked is None:
            return None
        shown = slide_of(checked.slide_layer) or checked.job.slide
        line = command_line(check_words(checked.job, shown))
        copy(line)
        return line
