"""An enhancement comes first; training goes on by itself after it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_cwtnet.export import export_image
from napari_cwtnet.plugin.tasks.device import ARBITER, DeviceArbiter
from plugin.enhance_help import finish as finish_enhancement
from plugin.enhance_help import wait_for_tiles
from plugin.finetune_help import finish, wait_for_step

Dock = Callable[..., Any]


def test_waits_until_all_who_come_first_are_done() -> None:
    turns, order = DeviceArbiter(), []
    assert turns.wait(0)

    def train() -> None:
        assert turns.wait(10)
        order.append("step")

    with turns.priority():
        with turns.priority():
            assert turns.taken
        thread = threading.Thread(target=train)
        thread.start()
        assert not turns.wait(0.05)
        order.append("enhanced")
    thread.join(10)
    assert order == ["enhanced", "step"]
    assert not turns.taken


def test_turn_is_given_back_by_an_enhancement_that_fails() -> None:
    turns = DeviceArbiter()
    with pytest.raises(ValueError, match="broken"), turns.priority():
        raise ValueError("broken")
    assert turns.wait(0)


def test_training_rests_while_a_view_is_enhanced(tune_dock: Dock, qtbot: Any) -> None:
    viewer, dock = tune_dock()
    _, enhance = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Enhance")
    enhance.form.model.setCurrentText("tiny-x2")
    enhance.form.level.setCurrentIndex(enhance.form.level.findData(1.0))
    viewer.reset_view()
    dock.start()
    run = wait_for_step(qtbot, dock, 3)
    enhance.enhance_view()
    wait_for_tiles(qtbot, enhance, 1)
    step, seen = run.step, []
    # the step first: had the turn been given back between the two, more steps could be seen
    enhance.controller.changed.connect(lambda: seen.append((run.step, ARBITER.taken)))
    dock.controller.changed.connect(lambda: seen.append((run.step, ARBITER.taken)))
    outcome = finish_enhancement(qtbot, enhance, lambda: None)
    assert outcome.kind == "done"
    during = [at for at, taken in seen if taken]
    assert during
    assert max(during) <= step + 1
    wait_for_step(qtbot, dock, step + 3)
    assert finish(qtbot, dock, dock.stop).kind == "stopped"


def test_an_export_comes_first_too(
    enhance_dock: Dock,
    qtbot: Any,
    ome: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 3
    finish_enhancement(qtbot, dock)
    taken = []

    def noted(*words: Any, **settings: Any) -> Any:
        taken.append(ARBITER.taken)
        return export_image(*words, **settings)

    monkeypatch.setattr("napari_cwtnet.plugin.viewer.export.export_image", noted)
    with qtbot.waitSignal(dock.result.exporter.ended, timeout=60000):
        dock.result.export_to(tmp_path / "out.png")
    assert taken == [True]
    assert ARBITER.wait(10)
    assert (tmp_path / "out.png").exists()


def test_stop_and_closing_do_not_wait_for_an_enhancement(tune_dock: Dock, qtbot: Any) -> None:
    _, dock = tune_dock()
    dock.start()
    run = wait_for_step(qtbot, dock, 1)
    with ARBITER.priority():
        waits = lambda: dock.status == f"Step {run.step} · waiting: another task has the device"  # noqa: E731
        qtbot.waitUntil(waits, timeout=20000)
        assert finish(qtbot, dock, dock.controller.cancel).kind == "closed"  # without a turn
