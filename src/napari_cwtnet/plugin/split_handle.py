"""The line over the canvas that parts slide and result; one takes it with the mouse."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from napari_cwtnet.plugin.side_labels import SideLabels

_WIDTH = 34
_RADIUS = 14
_LINE, _EDGE, _GRIP = QColor("#ffffff"), QColor(0, 0, 0, 170), QColor("#2b2f3a")


class SplitHandle(QWidget):
    """A vertical line with a grip, and the names of both sides beside it.

    Parameters
    ----------
    canvas : QWidget
        What it lies over.

    Attributes
    ----------
    moved : Signal(float)
        The user drags; where to, 0..1 of the canvas' width.
    """

    moved = Signal(float)

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._grabbed = 0.0
        self.labels = SideLabels(canvas)
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self.setToolTip("Drag: the slide is left of the line, the computed image right of it")

    def put(self, fraction: float) -> float:
        """Move there and show; gives the line's x in pixels of the frame buffer."""
        x = round(fraction * self._canvas.width())
        self.setGeometry(x - _WIDTH // 2, 0, _WIDTH, self._canvas.height())
        self.labels.put(x)
        self.show()
        self.raise_()
        return x * float(self._canvas.devicePixelRatioF())

    def remove(self) -> None:
        """Go, for good."""
        self.labels.remove()
        self.hide()
        self.deleteLater()

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Take the line where it is, so that it does not jump under the mouse."""
        self._grabbed = event.position().x() - self.width() / 2

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Drag the line."""
        x = self.mapToParent(event.position().toPoint()).x() - self._grabbed
        self.moved.emit(x / max(1, self._canvas.width()))

    def paintEvent(self, _: Any) -> None:  # noqa: N802 - Qt's name
        """A white line with dark edges, so that it is seen on any tissue."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        x, y = self.width() // 2, self.height() / 2
        painter.fillRect(QRectF(x - 2, 0, 4, self.height()), _EDGE)
        painter.fillRect(QRectF(x - 1, 0, 2, self.height()), _LINE)
        painter.setPen(QPen(_LINE, 2))
        painter.setBrush(_GRIP)
        painter.drawEllipse(QPointF(x, y), _RADIUS, _RADIUS)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_LINE)
        for side in (-1, 1):
            tip, back = x + side * 9, x + side * 3
            arrow = [QPointF(tip, y), QPointF(back, y - 5), QPointF(back, y + 5)]
            painter.drawPolygon(QPolygonF(arrow))
