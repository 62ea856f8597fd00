from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

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


def test_view_shows_the_slide_and_all_docks(ome: Path, tmp_path: Path) -> None:
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
        raise SystemExit(view({str(ome)!r}))
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown, asynchronous = done.stdout.split("\n")[:2]
    slide, *docks = shown.split("|")
    assert slide == "pattern.ome"
    assert set(docks) >= {f"{name} (napari-cwtnet)" for name in DOCKS}
    assert asynchronous == "True"
