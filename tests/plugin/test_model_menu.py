"""Models are added, renamed and deleted from the chooser; a hint where a stain is a new one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_cwtnet.plugin.docks.model_menu import ModelMenuButton
from napari_cwtnet.plugin.tasks.model_list import MODELS
from plugin.enhance_help import finish, wait_for_tiles, write_model


def menu_of(dock: Any) -> ModelMenuButton:
    return dock.findChild(ModelMenuButton)


def test_own_models_are_added_renamed_and_deleted_in_the_window(
    enhance_dock: Callable[..., Any],
    qtbot: Any,
    ome: Path,
    models: Path,
    tmp_path: Path,
    messages: list[str],
) -> None:
    _, dock = enhance_dock(ome)
    menu, combo = menu_of(dock), dock.form.model
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    menu.add(write_model(elsewhere, "new-x2", 2, seed=9))
    qtbot.waitUntil(lambda: combo.currentText() == "new-x2", timeout=10_000)
    assert (models / "new-x2.safetensors").exists()
    menu.rename(" renamed.safetensors ")
    qtbot.waitUntil(lambda: combo.currentText() == "renamed", timeout=10_000)
    assert not (models / "new-x2.safetensors").exists()
    menu.delete()
    qtbot.waitUntil(lambda: combo.findText("renamed") < 0, timeout=10_000)
    assert not (models / "renamed.safetensors").exists()
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"PK\x03\x04")
    before = len(messages)
    menu.add(bad)
    qtbot.waitUntil(lambda: len(messages) > before, timeout=10_000)
    assert "\n" not in messages[-1]
    assert "bad" not in MODELS.paths


def test_a_model_at_work_is_neither_renamed_nor_deleted(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, models: Path, messages: list[str]
) -> None:
    _, dock = enhance_dock(ome)
    menu = menu_of(dock)

    def begin_and_try() -> None:
        dock.enhance_view()
        wait_for_tiles(qtbot, dock, 1)
        menu.refresh()
        assert not menu.delete_action.isEnabled()
        assert "at work" in menu.delete_action.toolTip()
        menu.delete()
        qtbot.waitUntil(lambda: any("at work" in message for message in messages), timeout=5000)
        dock.controller.cancel()

    finish(qtbot, dock, begin_and_try)
    assert (models / "tiny-x2.safetensors").exists()
    menu.refresh()
    assert menu.delete_action.isEnabled()


def test_a_shipped_model_can_be_neither(
    enhance_dock: Callable[..., Any], ome: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, dock = enhance_dock(ome)
    menu = menu_of(dock)
    monkeypatch.setenv("CWTNET_MODELS", str(models / "another"))
    menu.refresh()
    assert not menu.rename_action.isEnabled()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("os2_ometiff/OS-2-vsi.ome.tif", "immunohistochemistry"),
        ("stritt_ndpi/test3-DAPI-2-387.ndpi", "fluorescence"),
        ("cmu1_small_svs/CMU-1-Small-Region.svs", ""),
    ],
)
def test_a_stain_that_the_model_never_saw_is_named(
    enhance_dock: Callable[..., Any],
    qtbot: Any,
    data_dir: Path,
    models: Path,
    name: str,
    words: str,
) -> None:
    from napari_cwtnet.model import CwtNet, preset, save_weights

    network = CwtNet(preset("lite", 2, blocks=1, channels=8))
    save_weights(models / "told-x2.safetensors", network, {"stains": ["H&E", "PAS"]})
    save_weights(models / "broad-x2.safetensors", network, {"stains": ["IHC", "DAPI"]})
    viewer, dock = enhance_dock(data_dir / "slides" / name, "told-x2")
    if not words:
        qtbot.waitUntil(lambda: any(v for v in dock._stains._stains.values()), timeout=20_000)
        dock.show_all()
        assert "This looks like" not in dock.sentence
        return
    qtbot.waitUntil(lambda: words in dock.sentence, timeout=20_000)
    assert "told-x2 has only seen H&E and PAS: Check here first." in dock.sentence
    _, inspect = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Inspect")
    inspect.form.model.setCurrentText("told-x2")
    qtbot.waitUntil(lambda: words in inspect.sentence, timeout=20_000)
    dock.form.model.setCurrentText("broad-x2")
    dock.show_all()
    assert "This looks like" not in dock.sentence
