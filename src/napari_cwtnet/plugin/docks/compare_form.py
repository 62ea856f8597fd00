"""What a result is compared with, the ways of comparing, and what is seen."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QLabel, QPushButton, QWidget

from napari_cwtnet.plugin.docks.widgets import Combo, words_label
from napari_cwtnet.plugin.viewer.compare import BLINK_KEY, Comparer, ModeName

_MODES: dict[ModeName, tuple[str, str]] = {
    "split": ("Split", "A line over the picture that you drag; the computed image is on its right"),
    "blink": ("Blink", f"Show one and the other in turn (key {BLINK_KEY})"),
    "side": ("Side by side", "Two halves that show the same place and move together"),
    "difference": ("Difference", "Where the computed image is brighter and where it is darker"),
}
_AGAINST_TIP = "What the computed image is compared with"
_LINES, _AROUND = 4, 10
"""Room that is kept for words, so that nothing below moves when they change."""


class CompareForm(QWidget):
    """A list of what to compare with, and four buttons, of which one or none is down."""

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.comparer = Comparer(viewer, self)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(QLabel("<b>Compare with</b>"), 0, 0)
        self.against = Combo(names=True)
        grid.addWidget(self.against, 1, 0)
        buttons = QGridLayout()
        self._group = QButtonGroup(self)
        self._group.setExclusive(False)  # the one that is down can be raised again
        self.buttons: dict[ModeName, QPushButton] = {}
        for number, (mode, (words, _)) in enumerate(_MODES.items()):
            button = self.buttons[mode] = QPushButton(words)
            button.setCheckable(True)
            button.clicked.connect(lambda down, mode=mode: self._choose(mode if down else None))
            buttons.addWidget(button, number // 2, number % 2)
            buttons.setColumnStretch(number % 2, 1)
        grid.addLayout(buttons, 2, 0)
        self._words = words_label()
        self._words.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        grid.addWidget(self._words, 3, 0)
        self.against.activated.connect(self._on_against)
        self.show_state()

    @property
    def words(self) -> str:
        """The words below the buttons."""
        return self._words.text()

    def refresh(self) -> None:
        """Follow a result that has new pixels."""
        self.comparer.refresh()

    def stop(self) -> None:
        """End comparing."""
        self.comparer.choose(None)

    def _choose(self, mode: ModeName | None) -> None:
        self.comparer.choose(mode)

    def _on_against(self, index: int) -> None:
        baselines = self.comparer.baselines
        if index < len(baselines):
            self.comparer.compare_with(baselines[index])

    def show_state(self) -> None:
        """Show how things are compared, or why they cannot be."""
        comparer = self.comparer
        self._show_baselines()
        for mode, button in self.buttons.items():
            hindrance = comparer.hindrance_of(mode)
            button.setChecked(mode == comparer.mode)
            button.setEnabled(not hindrance or mode == comparer.mode)
            button.setToolTip(hindrance or _MODES[mode][1])
        line = self._words.fontMetrics().lineSpacing()  # of the theme, once that is applied
        self._words.setFixedHeight(_LINES * line + _AROUND)
        self._words.setText(comparer.words)
        self._words.setToolTip(comparer.words)

    def _show_baselines(self) -> None:
        comparer, baselines = self.comparer, self.comparer.baselines
        with QSignalBlocker(self.against):
            self.against.clear()
            for index, baseline in enumerate(baselines):
                self.against.addItem(baseline.text)
                self.against.setItemData(index, baseline.tip, Qt.ItemDataRole.ToolTipRole)
            if baselines:
                self.against.setCurrentIndex(baselines.index(comparer.against))
            else:
                self.against.addItem("The slide")
        self.against.setEnabled(bool(baselines))
        tip = comparer.against.tip if baselines else comparer.hindrance
        self.against.setToolTip(f"{_AGAINST_TIP}: {tip}" if baselines else tip)
