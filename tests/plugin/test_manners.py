"""Keys for what the dock does, in napari's list of shortcuts; a page of help for each dock."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from napari.components import ViewerModel
from napari.utils.action_manager import action_manager
from npe2 import PluginManager
from qtpy.QtGui import QDesktopServices, QGuiApplication
from qtpy.QtWidgets import QScrollArea, QTabBar

from napari_cwtnet.plugin.app import DOCKS, open_docks
from napari_cwtnet.plugin.docks.shortcuts import KEYS
from napari_cwtnet.plugin.viewer.help_pages import DOCUMENTATION, help_url

PLUGIN = "napari-cwtnet"
DOCS = Path(__file__).parents[2] / "docs"


def press(viewer: Any, name: str) -> None:
    """What napari does at the key."""
    binding = KEYS[name].binding
    type(viewer).class_keymap.get(binding, ViewerModel.class_keymap[binding])(viewer)


def test_every_action_is_in_napari_s_list_and_in_the_palette(
    enhance_dock: Callable[..., Any], ome: Path
) -> None:
    enhance_dock(ome)
    listed = action_manager._get_provider_actions(ViewerModel)
    assert {f"{PLUGIN}:{name}" for name in KEYS} <= listed.keys()
    commands = PluginManager.instance().get_manifest(PLUGIN).contributions.commands
    assert {f"{PLUGIN}.{name}" for name in KEYS} <= {command.id for command in commands}


def test_no_key_is_one_of_napari_s(enhance_dock: Callable[..., Any], ome: Path) -> None:
    enhance_dock(ome)
    ours = {str(key.binding) for key in KEYS.values()}
    theirs = {
        str(binding)
        for name, bindings in action_manager._shortcuts.items()
        if not name.startswith(PLUGIN)
        for binding in bindings
    }
    assert len(ours) == len(KEYS)
    assert not ours & theirs


def test_keys_work_the_dock(enhance_dock: Callable[..., Any], qtbot: Any, ome: Path) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 4
    qtbot.waitUntil(dock.view_button.isEnabled, timeout=5000)
    with qtbot.waitSignal(dock.controller.ended, timeout=60_000) as blocker:
        press(viewer, "enhance_view")
    assert blocker.args[0].kind == "done"
    press(viewer, "whole_slide")
    assert dock.whole.isVisible()
    dock.whole.hide()
    before = dock.live.isChecked()
    press(viewer, "live")
    assert dock.live.isChecked() != before
    press(viewer, "live")
    assert "Ctrl+Shift+E" in dock.view_button.toolTip().replace("⌘⇧E", "Ctrl+Shift+E")


@pytest.mark.parametrize("name", DOCKS)
def test_each_dock_opens_its_page(
    make_napari_viewer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, name)
    dock.help_button.click()
    assert opened == [help_url(dock.help_page)]
    assert (DOCS / f"{dock.help_page}.md").is_file()


def test_the_documentation_is_where_the_project_says() -> None:
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["urls"]["Documentation"] == DOCUMENTATION


def test_half_of_a_small_window_is_canvas_and_all_tabs_can_be_read(
    qapp: Any, make_napari_viewer: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    screen = QGuiApplication.primaryScreen().availableGeometry()
    if screen.width() < 1280 or screen.height() < 720:  # never Xvfb's
        pytest.skip("the screen is too small")
    viewer = make_napari_viewer(show=True)
    docks = open_docks(viewer, "Enhance")
    viewer.open(ome, plugin=PLUGIN)
    window = viewer.window._qt_window
    window.resize(1280, 720)
    qtbot.wait(300)
    assert window.width() == 1280
    assert viewer.window._qt_viewer.canvas.native.width() >= 640
    target = docks["Enhance"].form.target
    words = target.fontMetrics().horizontalAdvance(target.currentText())
    assert words + 30 < target.width()  # with the arrow
    docks["Inspect"].parentWidget().raise_()
    qtbot.wait(200)
    model = docks["Inspect"].form.model
    words = model.fontMetrics().horizontalAdvance("cwtnet-lite-x4")
    assert words + 30 < model.width()
    bar = next(
        bar for bar in window.findChildren(QTabBar)
        if bar.isVisible() and bar.count() == len(DOCKS)
    )  # fmt: skip
    assert [bar.tabText(number) for number in range(bar.count())] == list(DOCKS)
    assert bar.sizeHint().width() <= bar.parentWidget().width()
    for name, dock in docks.items():
        title = dock.parentWidget().titleBarWidget().title
        assert title.text() == name
        assert title.sizeHint().width() < dock.minimumWidth() / 2
        area = dock.findChild(QScrollArea)
        bar_room = area.verticalScrollBar().sizeHint().width()
        assert area.widget().minimumSizeHint().width() <= dock.minimumWidth() - bar_room


@pytest.mark.parametrize("height", [720, 1100], ids=["scrolled", "with room left"])
def test_buttons_stay_in_place_when_words_change(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, height: int
) -> None:
    viewer, dock = enhance_dock(ome, level=None, show=True)
    viewer.window._qt_window.resize(1280, height)
    buttons = [*dock.compare.buttons.values(), dock.panel.mark.box, dock.result.keep_button]

    def now() -> list[int]:
        """How far down each is; a scroll bar may make them narrower."""
        found: list[int] = []

        def settled() -> bool:
            before = found[:]
            found[:] = [button.mapTo(dock.panel, button.rect().topLeft()).y() for button in buttons]
            qtbot.wait(200)
            return found == before

        qtbot.waitUntil(settled, timeout=10_000)
        return found

    def places(zoom: float, words: str) -> list[int]:
        viewer.scene.camera.zoom *= zoom
        qtbot.waitUntil(lambda: words in dock.sentence, timeout=5000)
        return now()

    far, near = (1 / 12, "Nothing to gain"), (12, "Finer than a 0.75 NA lens resolves")
    viewer.scene.camera.zoom *= 3
    places(*far)  # napari's theme comes late
    places(*near)
    before = places(*far)
    assert places(*near) == before
    with qtbot.waitSignal(dock.checker.ended, timeout=60_000):
        dock.panel.check_button.click()
    assert dock.panel.check.isVisibleTo(dock)
    assert "figures below" in dock.status
    assert now() == before
    with qtbot.waitSignal(dock.controller.ended, timeout=60_000):
        dock.view_button.click()
    dock.panel.mark.box.setChecked(True)
    qtbot.waitUntil(lambda: bool(dock.panel.mark.words), timeout=60_000)
    assert "the reason is below" in dock.status
    assert now() == before
    widths = {button.width() for button in dock.compare.buttons.values()}
    assert max(widths) - min(widths) <= 1
