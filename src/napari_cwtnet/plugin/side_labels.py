"""The names of both sides, over the canvas on either side of the line between them."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QLabel, QWidget

_GAP = 22
"""Pixels between the line and a name, enough for a grip."""
_COLOURS = {"slide": "rgba(43, 47, 58, 230)", "computed": "rgba(122, 31, 31, 230)"}
_STYLE = "color: white; background: {}; padding: 3px 8px; border-radius: 3px;"


class SideLabels(QObject):
    """``slide`` left of a line and ``computed`` right of it, halfway up the canvas.

    Parameters
    ----------
    canvas : QWidget
        What they lie over; they let the mouse through.

    Attributes
    ----------
    resized : Signal
        The canvas has another size.
    """

    resized = Signal()

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.labels = []
        for text, colour in _COLOURS.items():
            label = QLabel(text, canvas)
            label.setObjectName("cwtnet_side")
            label.setStyleSheet(_STYLE.format(colour))
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            label.adjustSize()
            self.labels.append(label)
        canvas.installEventFilter(self)

    def put(self, x: int) -> None:
        """Move to either side of a line, in pixels of the canvas, and show."""
        slide, computed = self.labels
        y = (self._canvas.height() - slide.height()) // 2
        slide.move(x - _GAP - slide.width(), y)
        computed.move(x + _GAP, y)
        for label in self.labels:
            label.show()
            label.raise_()

    def remove(self) -> None:
        """Go, for good."""
        self._canvas.removeEventFilter(self)
        for label in self.labels:
            label.hide()
            label.deleteLater()
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Follow the canvas' size."""
        if event.type() == QEvent.Type.Resize:
            self.resized.emit()
        return bool(super().eventFilter(watched, event))
