from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from npe2 import PluginManager, PluginManifest

from napari_cwtnet.errors import SlideError
from napari_cwtnet.plugin import app, commands
from napari_cwtnet.plugin.reader import SLIDE_SUFFIXES
from napari_cwtnet.plugin.viewer.slide_layer import slide_of

PLUGIN = "napari-cwtnet"


@pytest.fixture
def manifest() -> PluginManifest:
    return PluginManager.instance().get_manifest(PLUGIN)


def test_every_python_name_can_be_imported(manifest: PluginManifest) -> None:
    manifest.validate_imports()


def test_patterns_are_the_reader_s_suffixes(manifest: PluginManifest) -> None:
    (reader,) = manifest.contributions.readers
    assert sorted(reader.filename_patterns) == sorted(f"*{suffix}" for suffix in SLIDE_SUFFIXES)


def test_menus_show_the_commands(make_napari_viewer: Callable[..., Any]) -> None:
    from napari._app_model import get_app_model

    make_napari_viewer()
    menus = get_app_model().menus
    titles = {
        menu: [
            str(getattr(item, "title", None) or item.command.title) for item in menus.get_menu(menu)
        ]
        for menu in ("napari/file/io_utilities", "napari/layers/filter", "napari-cwtnet.filter")
    }
    assert "Open slide… (CWT-Net)" in titles["napari/file/io_utilities"]
    assert "Open the CWT-Net docks (CWT-Net)" in titles["napari/file/io_utilities"]
    assert "CWT-Net" in titles["napari/layers/filter"]
    assert titles["napari-cwtnet.filter"] == [
        "Enhance view (CWT-Net)",
        "Enhance ROIs (CWT-Net)",
        "Check the model here (CWT-Net)",
        "Write the whole slide… (CWT-Net)",
    ]


def test_sample(
    make_napari_viewer: Callable[..., Any], svs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "sample_slide", lambda: svs)
    viewer = make_napari_viewer()
    (layer,) = viewer.open_sample(PLUGIN, "cmu-1-small-region")
    assert slide_of(layer).path == svs


def test_first_use_of_the_sample_is_announced(
    qapp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    def unreachable() -> Path:
        assert messages, "announced before the wait"
        raise SlideError("The sample slide cannot be fetched")

    monkeypatch.setenv("CWTNET_CACHE", str(tmp_path))
    monkeypatch.setattr(commands, "sample_slide", unreachable)
    with pytest.raises(SlideError, match="cannot be fetched"):
        commands.sample()
    assert messages == ["Fetching the sample slide (1.9 MB), once…"]


def test_open_slide_command(
    make_napari_viewer: Callable[..., Any], qtbot: Any, ome: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = make_napari_viewer()
    monkeypatch.setattr("napari_cwtnet.plugin.reader.ask_for_slide", lambda parent: ome)
    commands.open_slide(viewer)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=10000)
    assert slide_of(viewer.layers[0]).path == ome
    qtbot.wait(50)


def test_one_command_opens_all_docks(make_napari_viewer: Callable[..., Any]) -> None:
    from napari._app_model import get_app_model

    viewer = make_napari_viewer()
    palette = get_app_model().menus.get_menu(get_app_model().menus.COMMAND_PALETTE_ID)
    assert "napari-cwtnet.open_docks" in [item.command.id for item in palette]
    _, enhance = viewer.window.add_plugin_dock_widget(PLUGIN, "Enhance")
    commands.open_docks(viewer)
    docks = viewer.window.dock_widgets
    assert {f"{name} ({PLUGIN})" for name in app.DOCKS} <= set(docks)
    assert docks[f"Enhance ({PLUGIN})"] is enhance  # what was chosen in it stays


def test_enhance_view_command_presses_the_dock_s_button(
    make_napari_viewer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cwtnet.plugin.docks.enhance import EnhanceDock

    pressed: list[str] = []
    monkeypatch.setattr(EnhanceDock, "enhance_view", lambda self: pressed.append("enhance"))
    viewer = make_napari_viewer()
    commands.enhance_view(viewer)
    assert pressed == ["enhance"]
    assert f"Enhance ({PLUGIN})" in viewer.window.dock_widgets
