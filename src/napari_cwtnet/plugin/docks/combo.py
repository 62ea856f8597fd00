"""A combo box for narrow docks, whose list may change while it is closed."""

from __future__ import annotations

from typing import get_args

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy

from napari_cwtnet.enhancement.request import Sharpness

_SHARPNESS = {
    "auto": "The model judges by the pixels alone",
    "sharp": "As if shrunk by 2×2 means, which most scanners take",
    "medium": "As if shrunk bicubically",
    "soft": "As if a little out of focus",
    "softest": "As if clearly out of focus",
}


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


def sharpness_combo() -> Combo:
    """What `Sharpness` allows."""
    combo = Combo()
    for value in get_args(Sharpness):
        combo.addItem(value.capitalize(), value)
        combo.setItemData(combo.count() - 1, _SHARPNESS[value], Qt.ItemDataRole.ToolTipRole)
    combo.setToolTip(
        "How soft the slide's pixels are, where its file does not tell: the softer, the more the "
        "model sharpens"
    )
    return combo
