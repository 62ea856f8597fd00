"""The scale of the map on the canvas, its unit and its meaning, always in sight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from napari_cwtnet.inspection import Map
from napari_cwtnet.inspection.maps import coloured
from napari_cwtnet.plugin.docks.widgets import DECIBELS, words_label

_RAMP = (256, 14)
_WHEEL = 40


class MapLegend(QWidget):
    """A ramp with its numbers, or a wheel of directions, and a sentence."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self._low, self._middle, self._high = (QLabel() for _ in range(4))
        self._title.setWordWrap(True)
        self._ramp, self._meaning = QLabel(), words_label()
        self._ramp.setScaledContents(True)
        self._middle.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._high.setAlignment(Qt.AlignmentFlag.AlignRight)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 4, 0, 0)
        grid.setVerticalSpacing(3)
        grid.addWidget(self._title, 0, 0, 1, 3)
        grid.addWidget(self._ramp, 1, 0, 1, 3)
        for column, label in enumerate((self._low, self._middle, self._high)):
            grid.addWidget(label, 2, column)
        grid.addWidget(self._meaning, 3, 0, 1, 3)
        self.hide()

    def show_map(self, found: Map) -> None:
        """Tell about a map."""
        self._title.setText(f"<b>{found.title}</b>")
        self._meaning.setText(found.legend)
        if found.palette == "direction":
            self._show_wheel(found)
        else:
            self._show_ramp(found)
        self.show()

    def text(self) -> str:
        """All that is shown, line by line."""
        numbers = [label.text() for label in (self._low, self._middle, self._high)]
        return "\n".join([self._title.text(), " ".join(numbers), self._meaning.text()])

    def _show_ramp(self, found: Map) -> None:
        width, height = _RAMP
        values = np.repeat(np.linspace(found.low, found.high, width)[None], height, axis=0)
        self._ramp.setScaledContents(True)
        self._ramp.setPixmap(_pixmap(coloured(values, found.low, found.high, found.palette)))
        self._ramp.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._ramp.setAlignment(Qt.AlignmentFlag.AlignLeft)
        self._low.setText(f"{found.low:.3g}")
        self._middle.setText(found.unit)
        self._middle.setToolTip(DECIBELS if found.unit == "dB" else "")
        self._high.setText(f"{found.high:.3g}")

    def _show_wheel(self, found: Map) -> None:
        steps = np.mgrid[-_WHEEL : _WHEEL + 1, -_WHEEL : _WHEEL + 1].transpose(1, 2, 0) / _WHEEL
        wheel = coloured(steps * found.high, 0, found.high, "direction")
        back = self.palette().window().color()
        wheel[np.hypot(steps[..., 0], steps[..., 1]) > 1] = back.red(), back.green(), back.blue()
        self._ramp.setScaledContents(False)
        self._ramp.setPixmap(_pixmap(wheel))
        self._ramp.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._low.setText("white: 0")
        self._middle.setText("")
        self._high.setText(f"rim: {found.high:g} {found.unit}")


def _pixmap(colours: NDArray[np.uint8]) -> QPixmap:
    pixels = np.ascontiguousarray(colours)
    height, width = pixels.shape[:2]
    image = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image)
