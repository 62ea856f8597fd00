"""A combo box for narrow docks, whose list may change while it is closed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from napari.layers import Shapes
from napari.utils.notifications import show_info
from qtpy.compat import isalive
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cwtnet.enhancement.plan import Sharpness

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


_BAR = 6
"""Height in pixels."""


def words_label() -> QLabel:
    """A label for sentences, which can be copied; as high as they need, and no wider than given."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label


def thin_bar(*, keep_place: bool = False) -> QProgressBar:
    """A progress bar; one that keeps its place when it is hidden does not move what is below."""
    bar = QProgressBar()
    bar.setTextVisible(False)
    bar.setFixedHeight(_BAR)
    policy = bar.sizePolicy()
    policy.setRetainSizeWhenHidden(keep_place)
    bar.setSizePolicy(policy)
    return bar


def show_progress(bar: QProgressBar, done: int, total: int) -> None:
    """Move a bar, painted when the window is painted next.

    Left to itself, Qt paints the window within `setValue`, the canvas included, and waits for it.
    """
    bar.setUpdatesEnabled(False)
    bar.setRange(0, total)
    bar.setValue(done)
    bar.setUpdatesEnabled(True)


def enable(widget: QWidget, enabled: bool, tip: str) -> None:
    """Enable a widget or not, and say why."""
    widget.setEnabled(enabled)
    widget.setToolTip(tip)


def copy(line: str) -> None:
    """Have a line pasted elsewhere, and say so for a few seconds."""
    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(line)
    show_info(f"Copied: {line}")


class PathField(QWidget):
    """A line with a button beside it.

    Parameters
    ----------
    pattern : str or None
        Which files are offered; None asks for a folder.
    none : str
        What an empty line means.

    Attributes
    ----------
    changed : Signal
        Another path, or none.
    """

    changed = Signal()

    def __init__(self, pattern: str | None, none: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pattern = pattern
        self.line = QLineEdit()
        self.line.setPlaceholderText(none)
        self.line.setClearButtonEnabled(True)
        self.line.textChanged.connect(lambda _: self.changed.emit())
        button = QToolButton()
        button.setText("…")
        button.setToolTip("Choose")
        button.clicked.connect(lambda _: self._ask())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.line, 1)
        layout.addWidget(button)

    @property
    def path(self) -> Path | None:
        """What is chosen; None for an empty line."""
        text = self.line.text().strip()
        return Path(os.path.expanduser(text)) if text else None  # noqa: PTH111 - never raises

    def _ask(self) -> None:
        if self._pattern is None:
            name = QFileDialog.getExistingDirectory(self, "Output folder", self.line.text())
        else:
            name, _ = QFileDialog.getOpenFileName(
                self, "Recipe", self.line.text(), f"{self._pattern};;All files (*)"
            )
        if name:
            self.line.setText(name)


REST_MS = 250
"""How long everything has to be still before a dock's sentence follows it, and Live begins."""


class Resting(QTimer):
    """Calls once, a moment after the last `start` or change.

    Parameters
    ----------
    dock : QWidget
        Lives as long as this.
    call : callable
        What follows the changes.
    """

    def __init__(self, dock: QWidget, call: Callable[[], None]) -> None:
        super().__init__(dock)
        self.setSingleShot(True)
        self.setInterval(REST_MS)
        self.timeout.connect(call)

    def follow(self, viewer: Any) -> None:
        """Start anew whenever something changes that a view or an ROI depends on."""
        for event in (
            viewer.scene.camera.events.center,
            viewer.scene.camera.events.zoom,
            viewer.canvas.events.size,
            viewer.dims.events.ndisplay,
            viewer.layers.selection.events.active,
            viewer.layers.events.removed,
        ):
            event.connect(self.on_change)
        viewer.layers.events.inserted.connect(self._on_inserted)
        for layer in viewer.layers:
            self._watch(layer)

    def on_change(self, *_: Any) -> None:
        """Start anew, unless the dock has gone: napari's events outlive it."""
        if isalive(self):
            self.start()

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)
        self.on_change()

    def _watch(self, layer: Any) -> None:
        if isinstance(layer, Shapes):
            layer.events.data.connect(self.on_change)
            layer.events.highlight.connect(self.on_change)


def fill(dock: QWidget, content: QWidget, width: int = 300) -> None:
    """``content`` at the width that there is, with a vertical scroll bar where it is needed."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(content)
    area.setSizeAdjustPolicy(QScrollArea.SizeAdjustPolicy.AdjustToContents)
    layout = QVBoxLayout(dock)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(area)
    dock.setMinimumWidth(width)
