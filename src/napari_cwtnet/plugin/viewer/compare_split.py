"""The result right of a line that one drags over the canvas, the baseline left of it.

The pixels of both stay as they are: their drawing alone is cut off. Right of the line there is
nothing but what was computed: where the result has no pixels, the canvas is empty.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from napari_cwtnet.plugin.viewer.badge import OVERLAY
from napari_cwtnet.plugin.viewer.canvas import canvas_widget, drawing_of, overlay_bottom
from napari_cwtnet.plugin.viewer.compare_pair import Pair
from napari_cwtnet.plugin.viewer.compare_views import SideLabels

_WIDTH = 34
_RADIUS = 14
_LINE, _EDGE, _GRIP = QColor("#ffffff"), QColor(0, 0, 0, 170), QColor("#2b2f3a")


class SplitHandle(QWidget):
    """A vertical line with a grip, and the names of both sides beside it.

    Parameters
    ----------
    canvas : QWidget
        What it lies over.
    pair : Pair
        Whose names are beside it.

    Attributes
    ----------
    moved : Signal(float)
        The user drags; where to, 0..1 of the canvas' width.
    """

    moved = Signal(float)

    def __init__(self, canvas: QWidget, pair: Pair) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._grabbed = 0.0
        self.labels = SideLabels(canvas, pair)
        self.setCursor(Qt.CursorShape.SplitHCursor)
        left, right = pair.names
        self.setToolTip(f"Drag the line: {left} on the left, {right} on the right")

    def put(self, fraction: float, top: int) -> float:
        """Move there and show, from ``top`` downwards; gives x in pixels of the frame buffer."""
        x, height = round(fraction * self._canvas.width()), self._canvas.height()
        self.setGeometry(x - _WIDTH // 2, top, _WIDTH, height - top)
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
        x, y = self.width() // 2, self._canvas.height() / 2 - self.y()
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


_FAR = 1e6
"""Pixels; beyond any canvas."""


class Split:
    """The mode of comparing that cuts baseline and result off at a line."""

    def __init__(self) -> None:
        self.fraction = 0.5
        """Where the line is, 0..1 of the canvas' width."""
        self._pair: Pair | None = None
        self._cuts: tuple[_Cut, ...] = ()
        self.handle: SplitHandle | None = None

    @property
    def words(self) -> str:
        """What is seen."""
        if self._pair is None:
            return ""
        left, right = self._pair.names
        return f"Left: {left}. Right: {right}; empty where nothing is computed. Drag the line."

    def begin(self, pair: Pair) -> None:
        """Cut both off and show the line."""
        self._pair = pair
        self._cuts = (_Cut(pair.viewer, pair.base), _Cut(pair.viewer, pair.result))
        widget = canvas_widget(pair.viewer)
        if widget is not None:
            self.handle = SplitHandle(widget, pair)
            self.handle.moved.connect(self.move)
            self.handle.labels.resized.connect(self._place)
        for event in self._followed:
            event.connect(self._place)
        self._place()

    def end(self) -> None:
        """Show both whole again."""
        if self._pair is None:
            return
        for event in self._followed:
            event.disconnect(self._place)
        for cut in self._cuts:
            cut.detach()
        if self.handle is not None:
            self.handle.remove()
        self._pair = self.handle = None
        self._cuts = ()

    def move(self, fraction: float) -> None:
        """Put the line elsewhere."""
        self.fraction = min(1.0, max(0.0, fraction))
        self._place()

    @property
    def _badge(self) -> Any:
        return None if self._pair is None else self._pair.viewer.canvas.overlays.get(OVERLAY)

    @property
    def _followed(self) -> list[Any]:
        """Events after which line or cuts belong elsewhere."""
        if self._pair is None:
            return []
        events = [layer.events.set_data for layer in self._pair.both]
        badge = self._badge
        return events if badge is None else [*events, badge.events.text, badge.events.visible]

    def _place(self, *_: Any) -> None:
        """Line and cuts where they belong."""
        if self._pair is None:
            return
        top = overlay_bottom(self._pair.viewer, self._badge)  # words are not drawn over
        left = 0.0 if self.handle is None else self.handle.put(self.fraction, top)
        base, result = self._cuts
        base.show_between(-_FAR, left)
        result.show_between(left, _FAR)


class _Cut:
    """A layer of which the canvas shows a vertical strip only."""

    def __init__(self, viewer: Any, layer: Any) -> None:
        from vispy.visuals.filters import Clipper

        self._viewer, self._layer = viewer, layer
        self._clipper, self._node = Clipper(), None

    def show_between(self, left: float, right: float) -> None:
        """Pixels of the frame buffer, on the node that draws the layer now."""
        node = drawing_of(self._viewer, self._layer)
        if node is not self._node:
            self.detach()
            if node is not None:
                node.attach(self._clipper)
            self._node = node
        self._clipper.bounds = (left, -_FAR, right - left, 2 * _FAR)
        if node is not None:
            node.update()

    def detach(self) -> None:
        """Show it whole again."""
        if self._node is not None:
            self._node.detach(self._clipper)
            self._node.update()
        self._node = None
