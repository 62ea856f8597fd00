"""An enhancement comes first; training goes on by itself after it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from napari_cwtnet.plugin.device_turns import TURNS, DeviceTurns
from plugin.enhance_help import finish as finish_enhancement
from plugin.enhance_help import wait_for_tiles
from plugin.finetune_help import finish, wait_for_step

Dock = Callable[..., Any]


def test_waits_until_all_who_come_first_are_done() -> None:
    turns, order = DeviceTurns(), []
    assert turns.wait(0)

    def train() -> None:
        assert turns.wait(10)
        order.append("step")

    with turns.first():
        with turns.first():
            assert turns.taken
        thread = threading.Thread(target=train)
        thread.start()
        assert not turns.wait(0.05)
        order.append("enhanced")
    thread.join(10)
    assert order == ["enhanced", "step"]
    assert not turns.taken


def test_turn_is_given_back_by_an_enhancement_that_fails() -> None:
    turns = DeviceTurns()
    with pytest.raises(ValueError, match="broken"), turns.first():
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
    enhance.controller.changed.connect(lambda: seen.append((TURNS.taken, run.step, dock.status)))
    dock.controller.changed.connect(lambda: seen.append((TURNS.taken, run.step, dock.status)))
    outcome = finish_enhancement(qtbot, enhance, lambda: None)
    assert outcome.kind == "done"
    during = [(at, words) for taken, at, words in seen if taken]
    assert during
    assert all(at <= step + 1 for at, _ in during)
    wait_for_step(qtbot, dock, step + 3)
    assert finish(qtbot, dock, dock.controller.stop).kind == "stopped"


def test_stop_and_closing_do_not_wait_for_an_enhancement(tune_dock: Dock, qtbot: Any) -> None:
    _, dock = tune_dock()
    dock.start()
    run = wait_for_step(qtbot, dock, 1)
    with TURNS.first():
        qtbot.wait(400)
        assert dock.status == f"Step {run.step} · an enhancement goes first"
        began = time.monotonic()
        assert finish(qtbot, dock, dock.controller.abandon).kind == "closed"
    assert time.monotonic() - began < 3
