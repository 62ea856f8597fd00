"""Asking which slide to open."""

from __future__ import annotations

from pathlib import Path

from napari.utils.history import get_open_history
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_cwtnet.plugin.reader import PLAIN_SUFFIXES, SLIDE_SUFFIXES

_PATTERNS = " ".join(f"*{suffix}" for suffix in SLIDE_SUFFIXES + PLAIN_SUFFIXES)
_FILTER = f"Slides ({_PATTERNS});;All files (*)"


def ask_for_slide(parent: QWidget | None) -> Path | None:
    """The file that the user chooses; None where they think better of it."""
    name, _ = QFileDialog.getOpenFileName(parent, "Open slide", get_open_history()[0], _FILTER)
    return Path(name) if name else None
