"""napari with a slide and the docks, for the command line; imports napari only when asked to."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cwtnet.plugin.names import ENHANCE, PLUGIN, SLIDE

if TYPE_CHECKING:
    import napari

_BINDINGS = ("PyQt6", "PySide6", "PyQt5")
_REMEDY = "pip install 'napari-cwtnet[gui]'"


def napari_available() -> str | None:
    """Why no window can be opened, and what to do; None where one can."""
    if importlib.util.find_spec("napari") is None:
        return f"napari is not installed; {_REMEDY}"
    if not any(importlib.util.find_spec(name) for name in _BINDINGS):
        return f"Neither PyQt6 nor PySide6 is installed; {_REMEDY}"
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in screens):
        return "there is no screen (neither DISPLAY nor WAYLAND_DISPLAY is set); try xvfb-run"
    return None


def view(path: str | os.PathLike[str] | None = None) -> int:
    """Show napari with the docks and, if given, a slide; ends when the window is closed.

    Gives the exit code of the process.
    """
    # Slides are decoded beside the window's thread; of this process only, not the user's settings.
    os.environ.setdefault("NAPARI_ASYNC", "1")
    import napari

    start(path)
    napari.run()
    return 0


def start(path: str | os.PathLike[str] | None = None) -> napari.Viewer:
    """A viewer with the docks and, once it is read, the slide."""
    import napari
    from qtpy.QtCore import QTimer

    viewer = napari.Viewer(title="CWT-Net")
    frame, slide_dock = viewer.window.add_plugin_dock_widget(PLUGIN, SLIDE)
    viewer.window.add_plugin_dock_widget(PLUGIN, ENHANCE, tabify=True)
    QTimer.singleShot(0, frame.raise_)  # tabs are there only once the window is laid out
    viewer.canvas.overlays.scale_bar.visible = True
    if path is not None:
        slide_dock.open_slide(Path(path))
    return viewer
