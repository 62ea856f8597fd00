"""One held-out field, side by side: LR, before, now, truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QRect, QSize, Qt
from qtpy.QtGui import QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cwtnet.plugin.docks.widgets import DECIBELS
from napari_cwtnet.plugin.tasks.finetune import ValidationPreview

_GAP = 4
_CAPTION = 16
_WIDE = 560
_MAGNIFIED = 2


class PreviewStrip(QWidget):
    """Four views of the middle of a field, each truth pixel twice as large; the LR pixels more."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self._shown: ValidationPreview | None = None
        self._images: list[tuple[str, QImage]] = []

    @property
    def captions(self) -> list[str]:
        """What stands over the pictures."""
        return [caption for caption, _ in self._images]

    def show_preview(self, preview: ValidationPreview | None) -> None:
        """Show a field, or nothing."""
        if preview is self._shown:
            return
        self._shown = preview
        self._images = []
        if preview is not None:
            shown = preview.preview
            self.setToolTip(
                "A field that is held out, always the same, single-image. PSNR is of this field. "
                f"{DECIBELS}"
            )
            self._images = [
                ("LR", _image(shown.lr)),
                (f"Before · {preview.before:.2f} dB", _image(shown.before)),
                (f"Now · {preview.now:.2f} dB", _image(shown.now)),
                ("Truth", _image(shown.truth)),
            ]
        self.updateGeometry()
        self.update()

    def hasHeightForWidth(self) -> bool:  # noqa: N802 - Qt's name
        """The pictures are square."""
        return True

    def heightForWidth(self, width: int) -> int:  # noqa: N802 - Qt's name
        """Two rows, or one if there is room."""
        columns, side = self._grid(width)
        return (4 // columns) * (side + _CAPTION + _GAP) if self._images else 0

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As high as the present width wants it."""
        return QSize(280, self.heightForWidth(max(self.width(), 240)))

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the middle of each picture, pixel by pixel."""
        if not self._images:
            return
        painter = QPainter(self)
        columns, side = self._grid(self.width())
        truth = self._images[-1][1]
        ratio = self.devicePixelRatioF()
        shown = min(int(side * ratio) // _MAGNIFIED, truth.width(), truth.height())
        for index, (caption, image) in enumerate(self._images):
            x = (index % columns) * (side + _GAP)
            y = (index // columns) * (side + _CAPTION + _GAP)
            painter.setPen(self.palette().text().color())
            flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRect(x, y, side, _CAPTION), flags, caption)
            painter.drawImage(
                QRect(x, y + _CAPTION, side, side), image, _middle(image, shown / truth.width())
            )

    @staticmethod
    def _grid(width: int) -> tuple[int, int]:
        columns = 4 if width >= _WIDE else 2
        return columns, (width - (columns - 1) * _GAP) // columns


def _middle(image: QImage, share: float) -> QRect:
    width, height = round(image.width() * share), round(image.width() * share)
    return QRect((image.width() - width) // 2, (image.height() - height) // 2, width, height)


def _image(pixels: NDArray[np.uint8]) -> QImage:
    height, width = pixels.shape[:2]
    data = np.ascontiguousarray(pixels)
    picture = QImage(data.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return picture.copy()  # its own memory
