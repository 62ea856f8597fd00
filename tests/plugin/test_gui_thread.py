"""What the window's own thread spends on planning, and what docks out of sight spend."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_cwtnet.plugin import app
from napari_cwtnet.plugin.tasks import model_list as models_module

DOCKS = (app.SLIDE, app.ENHANCE, app.INSPECT, app.FINETUNE)
LIMIT_MS = 5.0
"""For all docks together, on a processor that does `yardstick` in `YARDSTICK_MS`."""
YARDSTICK_MS = 5.5


def spent(work: Callable[[], object]) -> float:
    """Processor time of this thread, ms, the least of several: what others do cannot add to it."""
    times = []
    for _ in range(7):
        began = time.thread_time()
        work()
        times.append(1000 * (time.thread_time() - began))
    return min(times)


def yardstick() -> object:
    return sum(number * number for number in range(150_000))


@pytest.fixture
def docks(
    make_napari_viewer: Callable[..., Any], qtbot: Any, ome: Path, models: Path, runs: Path
) -> Callable[..., Any]:
    """Makes a viewer with a slide and every dock, one behind another where it is shown."""

    def make(**options: Any) -> tuple[Any, dict[str, Any]]:
        viewer = make_napari_viewer(**options)
        found = {
            name: viewer.window.add_plugin_dock_widget(app.PLUGIN, name, tabify=True)[1]
            for name in DOCKS
        }
        viewer.open(ome, plugin=app.PLUGIN)
        viewer.reset_view()
        found[app.ENHANCE].form.model.setCurrentText("tiny-x2")
        return viewer, found

    return make


def test_planning_takes_little_of_the_window_s_thread(
    docks: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, found = docks()
    monkeypatch.setattr(models_module, "list_models", pytest.fail)  # no folder is listed

    each = {name: spent(dock.show_all) for name, dock in found.items()}
    slowness = max(1.0, spent(yardstick) / YARDSTICK_MS)
    print(f"{each}, slowness {slowness:.2f}")
    assert sum(each.values()) < slowness * LIMIT_MS


def test_a_dock_out_of_sight_computes_nothing_until_it_is_shown(
    docks: Callable[..., Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, found = docks(show=True)
    found[app.ENHANCE]._frame().raise_()
    qtbot.waitUntil(lambda: found[app.ENHANCE].in_sight, timeout=5000)
    qtbot.wait(500)
    assert [name for name, dock in found.items() if dock.in_sight] == [app.ENHANCE]
    calls: list[str] = []
    for name, dock in found.items():
        monkeypatch.setattr(dock, "show_all", lambda name=name: calls.append(name))
    viewer.scene.camera.zoom *= 1.5
    qtbot.waitUntil(lambda: bool(calls), timeout=5000)
    qtbot.wait(500)
    assert set(calls) == {app.ENHANCE}
    calls.clear()
    found[app.INSPECT]._frame().raise_()
    qtbot.waitUntil(lambda: bool(calls), timeout=5000)
    assert set(calls) == {app.INSPECT}
