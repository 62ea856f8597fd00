"""A file or folder that may be chosen, or typed."""

from __future__ import annotations

import os
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QToolButton, QWidget


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
