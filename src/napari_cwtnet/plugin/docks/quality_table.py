"""PSNR and SSIM against the slide's own pixels, or why there are none."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_cwtnet.enhancement import Plan, Quality
from napari_cwtnet.enhancement.check import Check
from napari_cwtnet.enhancement.plan import Mode
from napari_cwtnet.plugin.docks.widgets import DECIBELS, copy, words_label
from napari_cwtnet.plugin.tasks.enhance import Checked
from napari_cwtnet.plugin.viewer.command_line import check_words, command_line
from napari_cwtnet.plugin.viewer.slide_layer import slide_of


class QualityTable(QWidget):
    """Model, bicubic and bicubic of the reference, a row each."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(0, 1)
        self._cells: list[tuple[QLabel, QLabel, QLabel]] = []
        for row, (name, *units) in enumerate(
            [("Against the slide", "PSNR, dB", "SSIM"), ("", "", ""), ("", "", ""), ("", "", "")]
        ):
            cells = (words_label(), QLabel(units[0]), QLabel(units[1]))
            cells[0].setText(name)
            for column, cell in enumerate(cells):
                if column:
                    cell.setAlignment(Qt.AlignmentFlag.AlignRight)
                grid.addWidget(cell, row, column)
            cells[1].setToolTip(DECIBELS)
            self._cells.append(cells)
        self._note = words_label()
        grid.addWidget(self._note, 4, 0, 1, 3)
        self.clear()

    def clear(self) -> None:
        """Say nothing."""
        self._fill([])
        self._note.hide()

    def show_quality(self, plan: Plan, quality: Quality) -> None:
        """Show what was measured, or why nothing was."""
        if quality.psnr is None:
            self._fill([])
            self._note.setText(_why_not(plan))
            self._note.setVisible(bool(self._note.text()))
            return
        self._show_figures(plan.model_name, plan.mode, quality)
        self._note.setText(f"{quality.warning}.")
        self._note.setVisible(bool(quality.warning))

    def show_check(self, check: Check) -> None:
        """Show the figures of a check, whose sentence says what they come to."""
        self._note.hide()
        if check.quality.psnr is None:
            self._fill([])
        else:
            self._show_figures(check.model, check.mode, check.quality)

    def _show_figures(self, model: str, mode: Mode, quality: Quality) -> None:
        given = ", cross-scale" if mode == "cross-scale" else ""
        rows = [
            (f"{model}{given}", quality.psnr, quality.ssim),
            ("bicubic", quality.psnr_bicubic, quality.ssim_bicubic),
            (
                "reference, bicubic",
                quality.psnr_reference_bicubic,
                quality.ssim_reference_bicubic,
            ),
        ]
        self._fill([row for row in rows if row[1] is not None])

    def text(self) -> str:
        """All that is shown, line by line."""
        rows = [cells for cells in self._cells if not cells[0].isHidden()]
        lines = ["\t".join(cell.text() for cell in cells) for cells in rows]
        return "\n".join([*lines, *([] if self._note.isHidden() else [self._note.text()])])

    def _fill(self, rows: list[tuple[str, float | None, float | None]]) -> None:
        best = max((row[1] or 0 for row in rows), default=0)
        for cell in self._cells[0]:
            cell.setVisible(bool(rows))
        for index, cells in enumerate(self._cells[1:]):
            there = index < len(rows)
            name, psnr, ssim = rows[index] if there else ("", None, None)
            for cell, text in zip(
                cells,
                (
                    name,
                    "" if psnr is None else f"{psnr:.2f}",
                    "" if ssim is None else f"{ssim:.4f}",
                ),
                strict=True,
            ):
                cell.setText(f"<b>{text}</b>" if there and psnr == best else text)
                cell.setVisible(there)


def _why_not(plan: Plan) -> str:
    if plan.beyond_native:
        return ""  # the sentence above says it before anything runs
    if plan.source_computed:
        return "The image that was read is itself computed, and no truth to compare with."
    return "Too small a region to measure."


class CheckResult(QWidget):
    """Hidden while there is nothing to show."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sentence, self.quality = words_label(), QualityTable()
        self.sentence.setStyleSheet("font-weight: 600;")
        self.sentence.setToolTip(DECIBELS)
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

    def show_check(self, checked: Checked | None, *, here: bool = True) -> None:
        """Show what was found, and whether it is of the place in view; None hides it."""
        self._checked = checked
        self.setVisible(checked is not None)
        if checked is not None:
            place = "" if here else "Checked elsewhere on this slide. "
            self.sentence.setText(f"{place}{checked.check.sentence}")
            self.setEnabled(here)
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
