"""Buttons for the ways of comparing, and words for what is seen."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QGridLayout,
    QLabel,
    QPushButton,
    QWidget,
)

from napari_cwtnet.plugin.viewer.compare import BLINK_KEY, Comparer, ModeName

_MODES: dict[ModeName, tuple[str, str]] = {
    "split": ("Split", "The slide left of a line that you drag, the computed image right of it"),
    "blink": ("Blink", f"Show and hide the computed image in turn (key {BLINK_KEY})"),
    "side": ("Side by side", "Two halves that show the same place and move together"),
    "difference": ("Difference", "What is brighter and what is darker, as a map of colours"),
}
_BASELINES = (
    (
        "Difference to best available",
        None,
        "Its own pixels if it has them this fine, else bicubic",
    ),
    ("Minus the slide's own pixels", "truth", "What the model got wrong"),
    ("Minus plain enlargement (bicubic)", "bicubic", "What the model added to what it read"),
)


class CompareForm(QWidget):
    """Four buttons, of which one or none is down.

    Attributes
    ----------
    height_changed : Signal
        More or fewer words are shown.
    """

    height_changed = Signal()

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.comparer = Comparer(viewer, self)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        title = QLabel("<b>Compare with the slide</b>")
        grid.addWidget(title, 0, 0, 1, 2)
        self._group = QButtonGroup(self)
        self._group.setExclusive(False)  # the one that is down can be raised again
        self.buttons: dict[ModeName, QPushButton] = {}
        for number, (mode, (words, _)) in enumerate(_MODES.items()):
            button = self.buttons[mode] = QPushButton(words)
            button.setCheckable(True)
            button.clicked.connect(lambda down, mode=mode: self._choose(mode if down else None))
            grid.addWidget(button, 1 + number // 2, number % 2)
        self.against = QComboBox()
        for number, (words, value, tip) in enumerate(_BASELINES):
            self.against.addItem(words, value)
            self.against.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        self.against.currentIndexChanged.connect(lambda _: self._on_baseline())
        self._words = QLabel()
        self._words.setWordWrap(True)
        grid.addWidget(self.against, 3, 0, 1, 2)
        grid.addWidget(self._words, 4, 0, 1, 2)
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

    def _on_baseline(self) -> None:
        self.comparer.difference.against = self.against.currentData()
        self.comparer.refresh()

    def show_state(self) -> None:
        """Show how things are compared, or why they cannot be."""
        comparer, hindrance = self.comparer, self.comparer.hindrance
        for mode, button in self.buttons.items():
            button.setChecked(mode == comparer.mode)
            button.setEnabled(not hindrance)
            button.setToolTip(hindrance or _MODES[mode][1])
        self.against.setVisible(comparer.mode == "difference")
        words = comparer.words if comparer.mode is not None else hindrance
        self._words.setText(words)
        self._words.setVisible(bool(words))
