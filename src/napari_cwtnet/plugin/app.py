"""napari with a slide and the docks, for the command line; imports napari only when asked to."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import napari


PLUGIN = "napari-cwtnet"
SLIDE, ENHANCE, INSPECT, FINETUNE = "Slide", "Enhance", "Inspect", "Fine-tune"
DOCKS = (SLIDE, ENHANCE, INSPECT, FINETUNE)


_BINDINGS = ("PyQt6", "PySide6", "PyQt5")
_LIBRARIES = (
    "apt-get install libegl1 libgl1 libglib2.0-0 libdbus-1-3 libfontconfig1 libxkbcommon-x11-0 "
    "libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0"
)
_REMEDY = "pip install 'napari-cwtnet[gui]'"


def napari_available() -> str | None:
    """Why no window can be opened, and what to do; None if one can."""
    if importlib.util.find_spec("napari") is None:
        return f"napari is not installed; {_REMEDY}"
    if not any(importlib.util.find_spec(name) for name in _BINDINGS):
        return f"Neither PyQt6 nor PySide6 is installed; {_REMEDY}"
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in screens):
        return "there is no screen (neither DISPLAY nor WAYLAND_DISPLAY is set); try xvfb-run"
    try:
        importlib.import_module("qtpy.QtWidgets")
    except (ImportError, RuntimeError) as error:  # the binding is there, its libraries are not
        reason = " ".join(str(error.__cause__ or error).split())
        return f"Qt cannot be loaded ({reason}); on Debian or Ubuntu: {_LIBRARIES}"
    return None


def view(path: str | os.PathLike[str] | None = None, image: int | None = None) -> int:
    """Show napari with the docks and, if given, a slide; ends when the window is closed.

    Of a file that holds several images, ``image`` is the number of one. Gives the exit code of the
    process.
    """
    # Slides are decoded beside the window's thread; of this process only, not the user's settings.
    os.environ.setdefault("NAPARI_ASYNC", "1")
    import napari

    start(path, image)
    napari.run()
    return 0


def start(path: str | os.PathLike[str] | None = None, image: int | None = None) -> napari.Viewer:
    """A viewer with the docks and, once it is read, the slide."""
    import napari

    viewer = napari.Viewer(title="CWT-Net")
    docks = open_docks(viewer, SLIDE if path is None else ENHANCE)
    viewer.canvas.overlays.scale_bar.visible = True
    if path is not None:
        docks[SLIDE].open_slide(Path(path), image)
    return viewer


def open_docks(viewer: napari.Viewer, first: str) -> dict[str, Any]:
    """Open all docks as tabs, the one named ``first`` in front; gives their widgets by name.

    Those that are open already stay as they are.
    """
    from qtpy.QtCore import QTimer

    docks: dict[str, Any] = {}
    for name in DOCKS:
        frame, docks[name] = viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=bool(docks))
        frame.show()
        if name == first:
            QTimer.singleShot(0, frame.raise_)  # tabs are there only once the window is laid out
    return docks
