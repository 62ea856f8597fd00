"""The small picture of the whole slide, with what the canvas shows of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cwtnet.geometry import Region, Size

_HEIGHT = 190
_SMALLEST_BOX = 5.0
_INK, _EDGE = QColor(20, 90, 220), QColor(255, 255, 255, 200)


class Overview(QWidget):
    """A thumbnail; pressing or dragging in it says where to go.

    Attributes
    ----------
    chosen : Signal(float, float)
        A place (x, y) in level-0 pixels.
    """

    chosen = Signal(float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setToolTip("The whole slide; the box is what the canvas shows. Click to go there.")
        self._picture: QPixmap | None = None
        self._scaled: QPixmap | None = None
        self._slide_size = Size(1, 1)
        self._covered = Size(1, 1)
        self._box: Region | None = None

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Qt's: as wide as may be, always as high."""
        return QSize(260, _HEIGHT)

    def show_picture(
        self, pixels: NDArray[np.uint8] | None, slide_size: Size, covered: Size
    ) -> None:
        """Take another slide's picture.

        Parameters
        ----------
        pixels : ndarray or None
            (h, w, 3) uint8 RGB; None while it is not there yet.
        slide_size : Size
            Of level 0.
        covered : Size
            Level-0 pixels that ``pixels`` covers; may reach beyond the slide.
        """
        self._slide_size, self._covered, self._scaled = slide_size, covered, None
        if pixels is None:
            self._picture = self._box = None
        else:
            rgb = np.ascontiguousarray(pixels)
            height, width = rgb.shape[:2]
            image = QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888)
            self._picture = QPixmap.fromImage(image)  # a copy
        self.setCursor(Qt.CursorShape.ArrowCursor if pixels is None else Qt.CursorShape.CrossCursor)
        self.update()

    @property
    def has_picture(self) -> bool:
        """Whether there is something to see."""
        return self._picture is not None

    @property
    def box(self) -> Region | None:
        """What is marked as visible, level-0 pixels."""
        return self._box

    def show_box(self, region: Region | None) -> None:
        """Mark what the canvas shows, level-0 pixels."""
        if region != self._box:
            self._box = region
            self.update()

    def place_at(self, position: QPointF) -> tuple[float, float]:
        """The place (x, y) in level-0 pixels under a position in this widget; on the slide."""
        frame, per_pixel = self._frame()
        x, y = (position.x() - frame.x()) * per_pixel, (position.y() - frame.y()) * per_pixel
        width, height = self._slide_size
        return min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Qt's."""
        painter = QPainter(self)
        if self._picture is None:
            painter.setPen(self.palette().color(self.foregroundRole()))
            painter.setOpacity(0.5)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "No slide")
            return
        frame, per_pixel = self._frame()
        painter.setClipRect(frame)
        painter.drawPixmap(frame.topLeft(), self._scaled_picture(per_pixel))
        if self._box is not None:
            box = QRectF(
                frame.x() + self._box.x / per_pixel,
                frame.y() + self._box.y / per_pixel,
                self._box.width / per_pixel,
                self._box.height / per_pixel,
            )
            grow = [max(0.0, _SMALLEST_BOX - side) / 2 for side in (box.width(), box.height())]
            box.adjust(-grow[0], -grow[1], grow[0], grow[1])
            for colour, width in ((_EDGE, 4), (_INK, 2)):
                painter.setPen(_mitred_pen(colour, width))
                painter.drawRect(box.intersected(frame.adjusted(1, 1, -1, -1)))

    def resizeEvent(self, _event: object) -> None:  # noqa: N802 - Qt's name
        """Qt's."""
        self._scaled = None

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Qt's."""
        self._choose(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Qt's; comes only while a button is down."""
        self._choose(event)

    def _choose(self, event: QMouseEvent) -> None:
        if self._picture is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self.chosen.emit(*self.place_at(event.position()))

    def _frame(self) -> tuple[QRectF, float]:
        """Where the slide is drawn, and level-0 pixels per pixel of this widget."""
        width, height = self._slide_size
        per_pixel = max(width / max(self.width(), 1), height / max(self.height(), 1))
        drawn = width / per_pixel, height / per_pixel
        left, top = (self.width() - drawn[0]) / 2, (self.height() - drawn[1]) / 2
        return QRectF(left, top, *drawn), per_pixel

    def _scaled_picture(self, per_pixel: float) -> QPixmap:
        if self._scaled is None and self._picture is not None:
            ratio = self.devicePixelRatioF()
            self._scaled = self._picture.scaled(
                max(1, round(self._covered.width / per_pixel * ratio)),
                max(1, round(self._covered.height / per_pixel * ratio)),
                Qt.AspectRatioMode.IgnoreAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
            self._scaled.setDevicePixelRatio(ratio)
        return self._scaled or QPixmap()


def _mitred_pen(colour: QColor, width: int) -> QPen:
    pen = QPen(colour)
    pen.setWidth(width)
    pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
    return pen
