"""Small widgets, and the like, that several docks have."""

from __future__ import annotations

from napari.utils.notifications import show_info
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QLabel, QProgressBar, QSizePolicy, QWidget

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
