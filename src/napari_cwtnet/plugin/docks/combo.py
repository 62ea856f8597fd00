"""A combo box for narrow docks, whose list may change while it is closed."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy


class Combo(QComboBox):
    """Takes the width that there is, and says when its list is about to open."""

    opening = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def showPopup(self) -> None:  # noqa: N802 - Qt's name
        """Open the list."""
        self.opening.emit()
        super().showPopup()
