"""What the Fine-tune dock shows of a run: buttons, sentence, progress, curves, pictures."""

from __future__ import annotations

from typing import Any

from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cwtnet.plugin.docks.parts import show_progress, words_label
from napari_cwtnet.plugin.docks.preview_strip import PreviewStrip
from napari_cwtnet.plugin.finetune_run import FinetuneRun
from napari_cwtnet.plugin.finetune_words import gain_words, progress_words

_PARTS = 1000
_NO_CURVES = "Loss and PSNR are drawn where pyqtgraph is installed: pip install pyqtgraph"


class FinetunePanel(QWidget):
    """Everything below the choices, with nothing behind it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.choices_button = _choices_button()
        self.start_button = QPushButton("Start")
        self.new_button = QPushButton("New run…")
        self.new_button.setToolTip("Choose what to learn from next")
        self.new_button.clicked.connect(lambda _: self.choices_button.setChecked(True))
        self.pause_button = QPushButton("Pause")
        self.stop_button = QPushButton("Stop")
        self.resume_button = QPushButton("Resume")
        self.pause_button.setToolTip("Rest, and go on later; rests do not count")
        self.stop_button.setToolTip("End after the step at hand; the best model is kept")
        self.resume_button.setToolTip("Go on with a run that was stopped or broken off")
        self.copy_button = QPushButton("Copy as command")
        self.copy_button.setToolTip("Copy the command line that does what Start would do")
        self.sentence, self.status, self.gain = (words_label() for _ in range(3))
        self.bar = QProgressBar()
        self.bar.setRange(0, _PARTS)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.curves: Any = _curves()
        self.strip = PreviewStrip()
        buttons = QHBoxLayout()
        for button in (
            self.start_button, self.new_button, self.resume_button, self.pause_button,
            self.stop_button,
        ):  # fmt: skip
            buttons.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.sentence)
        layout.addLayout(buttons)
        self._of_run = (self.bar, self.status, self.gain, self.curves, self.strip)
        for part in self._of_run:
            layout.addWidget(part)
        layout.addWidget(self.copy_button)

    def set_theme(self, name: str) -> None:
        """Draw in the colours of a napari theme."""
        if hasattr(self.curves, "set_colours"):
            theme = get_theme(name)
            self.curves.set_colours(theme.background.as_hex(), theme.text.as_hex())

    def show_plan(self, sentence: str, *, ready: bool) -> None:
        """Say what Start would do, or why it cannot be pressed."""
        self.sentence.setText(sentence)
        self.start_button.setEnabled(ready)
        self.start_button.setToolTip("Begin" if ready else sentence)

    def show_run(self, run: FinetuneRun | None, *, busy: bool) -> None:
        """Show where a run is, or how it ended."""
        choosing = self.choices_button.isChecked()
        for part in self._of_run:
            part.setVisible(run is not None)
        for button, shown in (
            (self.start_button, choosing and not busy),
            (self.new_button, not choosing and not busy),
            (self.resume_button, not busy),
            (self.pause_button, busy),
            (self.stop_button, busy),
        ):
            button.setVisible(shown)
        at_work = busy and run is not None and not run.stopping
        paused = run is not None and run.paused
        self.pause_button.setText("Go on" if paused else "Pause")
        self.pause_button.setEnabled(at_work)
        self.stop_button.setEnabled(at_work)
        if run is None:
            return
        show_progress(self.bar, round(_PARTS * run.share), _PARTS)
        self.bar.setVisible(busy)
        self.status.setText(progress_words(run))
        self.gain.setText(gain_words(run.history))
        self.gain.setVisible(bool(self.gain.text()))
        if hasattr(self.curves, "show_history"):
            self.curves.show_history(run.history)
        self.strip.show_sight(run.sight)


def _choices_button() -> QToolButton:
    button = QToolButton()
    button.setText("Choices")
    button.setCheckable(True)
    button.setChecked(True)
    button.setAutoRaise(True)
    button.setArrowType(Qt.ArrowType.DownArrow)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.toggled.connect(
        lambda on: button.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow)
    )
    return button


def _curves() -> Any:
    try:
        from napari_cwtnet.plugin.docks.curves import Curves
    except ModuleNotFoundError:
        label = words_label()
        label.setText(_NO_CURVES)
        return label
    return Curves()
