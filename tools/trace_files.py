"""Which files of the package a GUI action passes through: a measure of how far one has to read.

Run it where there is a screen, or under Xvfb:

    xvfb-run -a python tools/trace_files.py SLIDE [--model NAME] [--list]

It opens napari with all docks and a slide, and counts the files whose functions are called, in any
thread, while a slide is opened, the view zooms with nothing enhanced, and the view is enhanced.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

os.environ.setdefault("NAPARI_ASYNC", "1")
SETTLED_S = 1.0


@contextlib.contextmanager
def tracing(package: Path) -> Iterator[set[str]]:
    """Names of the package's files whose functions are called within the block."""
    found: set[str] = set()
    known: dict[str, str | None] = {}
    root = f"{package}{os.sep}"

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        code = frame.f_code
        name = code.co_filename
        if name not in known:
            known[name] = name.removeprefix(root) if name.startswith(root) else None
        inside = known[name]
        if inside is not None and code.co_name != "<module>":  # an import is no reading
            found.add(inside)

    threading.setprofile(note)  # of threads that begin from now on
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def pump(seconds: float, done: Callable[[], bool] = lambda: False) -> None:
    """Let the window work for some time, or until something is done."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end and not done():
        QApplication.processEvents()
        time.sleep(0.005)


def traced(slide: Path, model: str | None) -> dict[str, set[str]]:
    """Files of each action."""
    import napari_cwtnet
    from napari_cwtnet.plugin import app
    from napari_cwtnet.plugin.viewer.viewport import zoom_to

    package = Path(napari_cwtnet.__file__).parent
    viewer = app.start()
    _, dock = viewer.window.add_plugin_dock_widget(app.PLUGIN, app.SLIDE)
    _, enhance = viewer.window.add_plugin_dock_widget(app.PLUGIN, app.ENHANCE)
    if model is not None:
        enhance.form.model.setCurrentText(model)
    pump(3)
    found: dict[str, set[str]] = {}
    with tracing(package) as found["open a slide"]:
        dock.open_slide(slide)
        pump(60, lambda: len(viewer.layers) > 0)
        pump(SETTLED_S)
    pump(2)
    with tracing(package) as found["a zoom with nothing enhanced"]:
        viewer.scene.camera.zoom *= 4
        pump(SETTLED_S)
    zoom_to(viewer, viewer.layers[0], 0.5)  # where the slide lacks detail
    pump(SETTLED_S)
    with tracing(package) as found["Enhance view"]:
        enhance.enhance_view()
        pump(300, lambda: not enhance.controller.busy)
        pump(SETTLED_S)
    viewer.close()
    return found


def main() -> int:
    """Print how many files each action passes through."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("slide", type=Path)
    parser.add_argument("--model", help="name of the model to enhance with")
    parser.add_argument("--list", action="store_true", help="name the files")
    arguments = parser.parse_args()
    for action, files in traced(arguments.slide, arguments.model).items():
        print(f"{action}: {len(files)} files")
        if arguments.list:
            print("".join(f"    {name}\n" for name in sorted(files)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
