from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import tifffile
from slides.test_pyramids import picture

from napari_cwtnet.cli import main
from napari_cwtnet.plugin.app import DOCKS, napari_available

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a matter of X11")


def test_a_window_can_be_opened(qapp) -> None:
    assert napari_available() is None


@pytest.mark.parametrize(
    ("missing", "words"), [("napari", "napari is not installed"), ("Py", "Neither PyQt6")]
)
def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch, missing: str, words: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name.startswith(missing) else find(name)
    )
    reason = napari_available()
    assert reason is not None
    assert reason.startswith(words)
    assert "pip install 'napari-cwtnet[gui]'" in reason


@LINUX
def test_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "no screen" in str(napari_available())


def in_a_window(begin: str) -> list[str]:
    """Name of the first layer and of the docks, and whether slides are decoded beside the window.

    Parameters
    ----------
    begin : str
        An expression that opens the window, and returns when it is closed.
    """
    code = f"""
        import time
        import napari
        from napari_cwtnet.plugin.app import view

        def run():
            from qtpy.QtWidgets import QApplication
            from napari.settings import get_settings

            viewer = napari.current_viewer()
            end = time.monotonic() + 60
            while not viewer.layers and time.monotonic() < end:
                QApplication.processEvents()
            print(viewer.layers[0].name, *sorted(viewer.window.dock_widgets), sep="|")
            print(get_settings().experimental.async_)
            viewer.close()

        napari.run = run
        from napari_cwtnet.cli import main

        raise SystemExit({begin})
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


def test_view_shows_the_slide_and_all_docks(ome: Path) -> None:
    shown, asynchronous = in_a_window(f"view({str(ome)!r})")[:2]
    slide, *docks = shown.split("|")
    assert slide == "pattern.ome"
    assert set(docks) >= {f"{name} (napari-cwtnet)" for name in DOCKS}
    assert asynchronous == "True"


def test_view_of_another_image_of_the_file(tmp_path: Path, capsys) -> None:
    path = tmp_path / "two.tif"
    with tifffile.TiffWriter(path) as writer:
        for side in (200, 300):
            writer.write(picture(side, side), tile=(128, 128), photometric="rgb", metadata=None)
    words = ["view", str(path), "--image"]
    shown = in_a_window(f"main({[*words, '0']!r})")[0]
    assert shown.startswith("two · 1 of 2|")
    assert main([*words, "7"]) == 2
    assert "which has images 0 to 1" in capsys.readouterr().err
