"""Runs that are cancelled, superseded, repeated, abandoned or fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.compat import isalive
from qtpy.QtCore import QTimer

from napari_cwtnet.enhancement import enhance
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from plugin.enhance_help import finish, results, threads, wait_for_tiles


def test_cancel_takes_effect_within_one_tile(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    assert not dock.cancel_button.isEnabled()
    dock.enhance_view()
    wait_for_tiles(qtbot, dock, 3)
    assert dock.cancel_button.isEnabled()
    with qtbot.waitSignal(dock.controller.ended, timeout=10000) as blocker:
        run = dock.controller.run
        dock.cancel_button.click()
        done = run.done  # after it: the thread may be tiles ahead of what was seen before
        assert dock.status == "Cancelling…"
        assert not dock.cancel_button.isEnabled()
    (outcome,) = blocker.args
    assert outcome.kind == "cancelled"
    assert outcome.done <= done + 1 < outcome.total
    assert dock.status == f"Cancelled: {outcome.done} of {outcome.total} tiles kept"
    assert not dock.controller.busy
    assert threads() == []
    (layer,) = results(viewer)
    alpha = layer.data[..., 3]
    assert set(np.unique(alpha)) == {0, 255}
    middle = tuple(side // 2 for side in alpha.shape)
    assert alpha[middle] == 255  # centre first
    assert layer.metadata[RESULT_KEY]["tiles_done"] == outcome.done
    assert layer.name.endswith(f"tiny-x2 · {outcome.done} of {outcome.total} tiles")
    finish(qtbot, dock)
    assert layer.name.endswith("tiny-x2")


def test_a_newer_request_drops_the_older(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, models: Path
) -> None:
    viewer, dock = enhance_dock(ome, "other-x2")
    ends: list[Any] = []
    dock.controller.ended.connect(ends.append)
    dock.enhance_view()
    older = dock.controller.run
    dock.form.model.setCurrentText("tiny-x2")
    viewer.scene.camera.zoom *= 6
    outcome = finish(qtbot, dock)
    assert older.outcome.kind == "cancelled"
    assert older.outcome.done < 30 < older.outcome.total or older.picture is None
    assert ends == [outcome]
    assert outcome.kind == "done"
    (layer,) = results(viewer)
    known = layer.metadata[RESULT_KEY]
    assert known["model"] == "tiny-x2"
    slide = slide_of(viewer.layers[0])
    direct = enhance(slide, known["region"], 1.0, model=models / "tiny-x2.safetensors")
    assert np.array_equal(layer.data[..., :3], direct.image)
    assert dock.controller.generation == 2
    assert threads() == []


def test_a_request_that_waits_can_be_cancelled(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    dock.enhance_view()
    older = dock.controller.run
    dock.form.model.setCurrentText("other-x2")
    dock.enhance_view()
    assert dock.status == "Waiting for the current tile…"
    assert dock.cancel_button.isEnabled()
    outcome = finish(qtbot, dock, dock.cancel_button.click)
    assert outcome is older.outcome
    assert outcome.kind == "cancelled"
    assert not dock.controller.busy
    assert "other-x2" not in [layer.metadata[RESULT_KEY]["model"] for layer in results(viewer)]


def test_a_second_run_computes_nothing_again(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 3
    first = finish(qtbot, dock)
    assert (first.cached, first.done) == (0, first.total)
    (layer,) = results(viewer)
    before = layer.data.copy()
    layer.visible = False
    second = finish(qtbot, dock)
    assert second.cached == second.done == second.total == first.total
    assert layer.visible  # it was asked for
    assert results(viewer) == [layer]  # taken over, not piled up
    assert np.array_equal(layer.data, before)
    assert f"{second.total} of them from memory" in dock.status
    dock.release_button.click()
    assert results(viewer) == [layer]
    assert finish(qtbot, dock).cached == 0


def test_panning_by_an_odd_distance_uses_the_same_tiles(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome, level=4.0)
    viewer.scene.camera.zoom *= 2
    finish(qtbot, dock)
    _, y, x = viewer.scene.camera.center
    viewer.scene.camera.center = (0, y, x + 1.7)
    outcome = finish(qtbot, dock)
    assert outcome.cached > 0


def test_a_layer_deleted_in_mid_run_stays_deleted(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    with qtbot.waitSignal(dock.controller.ended, timeout=60000) as blocker:
        dock.enhance_view()
        qtbot.waitUntil(lambda: bool(results(viewer)), timeout=30000)
        del viewer.layers[1]
    assert blocker.args[0].kind == "done"
    assert results(viewer) == []
    assert finish(qtbot, dock).kind == "done"
    assert len(results(viewer)) == 1


def test_the_slide_deleted_in_mid_run(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    with qtbot.waitSignal(dock.controller.ended, timeout=60000) as blocker:
        dock.enhance_view()
        viewer.layers.clear()
    assert blocker.args[0].kind == "done"
    # said once the layers have been still for a moment, which the run need not outlast
    qtbot.waitUntil(
        lambda: dock.view_button.toolTip().startswith("Open a slide first."), timeout=10000
    )
    assert not dock.view_button.isEnabled()


@pytest.mark.parametrize("what", ["window", "dock"])
def test_closed_in_mid_run(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, what: str
) -> None:
    viewer, dock = enhance_dock(ome)
    dock.controller._timer.setInterval(1500)  # it goes before a layer is made
    dock.enhance_view()
    wait_for_tiles(qtbot, dock, 1)
    run = dock.controller.run
    if what == "window":
        viewer.close()
    else:
        viewer.window.remove_dock_widget(dock)
    controller = dock.controller
    del dock
    qtbot.waitUntil(lambda: threads() == [], timeout=10000)
    if what == "dock":
        qtbot.waitUntil(lambda: not isalive(controller) or not controller.busy, timeout=5000)
        assert results(viewer) == []  # the window may be on its way out, too
    assert run.outcome.kind == "cancelled"
    assert run.outcome.done < run.outcome.total


def test_a_damaged_model_is_told_in_one_line(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, models: Path, messages: list[str]
) -> None:
    path = models / "tiny-x2.safetensors"
    content = bytearray(path.read_bytes())
    content[-4:] = b"\xff\xff\xff\xff"  # a number that is none
    path.write_bytes(content)
    viewer, dock = enhance_dock(ome)
    outcome = finish(qtbot, dock)
    assert outcome.kind == "failed"
    assert messages == [outcome.message]
    assert "damaged" in outcome.message
    assert "\n" not in outcome.message
    assert dock.status == outcome.message
    assert not dock.controller.busy
    assert threads() == []
    assert results(viewer) == []
    dock.form.model.setCurrentText("other-x2")
    assert finish(qtbot, dock).kind == "done"


def test_a_slide_that_cannot_be_read_is_told_in_one_line(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, messages: list[str]
) -> None:
    viewer, dock = enhance_dock(ome)
    slide_of(viewer.layers[0]).close()
    outcome = finish(qtbot, dock)
    assert messages == [outcome.message]
    assert outcome.message.startswith("Slide 'pattern.ome.tif' is closed")
    viewer.layers.clear()


def test_the_window_goes_on_while_a_run_is_at_work(
    enhance_dock: Callable[..., Any], qtbot: Any, svs: Path
) -> None:
    """Work of the window's own thread between two beats of its clock, layer already there."""
    viewer, dock = enhance_dock(svs)
    viewer.scene.camera.zoom *= 4
    finish(qtbot, dock)
    dock.release_button.click()
    qtbot.wait(300)
    beats: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(time.thread_time()))
    timer.start(10)
    outcome = finish(qtbot, dock)
    timer.stop()
    assert outcome.cached == 0
    assert len(beats) > 10
    assert max(np.diff(beats)) < 0.1


def test_live_follows_the_camera(enhance_dock: Callable[..., Any], qtbot: Any, ome: Path) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 4
    finish(qtbot, dock, lambda: dock.live.setChecked(True))
    first = results(viewer)[0].metadata[RESULT_KEY]["region"]

    def pan() -> None:
        _, y, x = viewer.scene.camera.center
        for step in range(5):
            viewer.scene.camera.center = (0, y, x + 3 * step)

    finish(qtbot, dock, pan)
    (layer,) = results(viewer)
    assert layer.metadata[RESULT_KEY]["region"][0] > first[0]
    assert dock.controller.generation == 2  # once, when the camera came to rest
    qtbot.wait(600)
    assert dock.controller.generation == 2


def test_live_takes_up_a_view_that_was_cancelled(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    dock.enhance_view()
    wait_for_tiles(qtbot, dock, 1)
    assert finish(qtbot, dock, dock.cancel_button.click).kind == "cancelled"
    outcome = finish(qtbot, dock, lambda: dock.live.setChecked(True))
    assert outcome.kind == "done"
    assert (results(viewer)[0].data[..., 3] == 255).all()
