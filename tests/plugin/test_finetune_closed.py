"""A dock, a window or a process that goes leaves a run that can be taken up, and goes soon."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qtpy.compat import isalive
from qtpy.QtCore import QThreadPool

from napari_cwtnet.model import load_model
from napari_cwtnet.slides import open_slide
from napari_cwtnet.training.run_folder import is_at_work, unfinished_runs
from plugin.finetune_help import (
    finish,
    no_run_is_left,
    progress_in,
    wait_for_step,
    write_recipe,
    write_slide,
    write_start,
)

Dock = Callable[..., Any]


@pytest.mark.parametrize("what", ["dock", "window"])
def test_closed_in_mid_run(tune_dock: Dock, qtbot: Any, runs: Path, what: str) -> None:
    viewer, dock = tune_dock(validate_every=1000)
    dock.start()
    run = wait_for_step(qtbot, dock, 4)
    began = time.monotonic()
    if what == "window":
        viewer.close()
    else:
        viewer.window.remove_dock_widget(dock)
    del dock
    qtbot.waitUntil(no_run_is_left, timeout=30000)
    assert time.monotonic() - began < 20  # the run has ten minutes of work left
    assert run.outcome.kind == "closed"
    folder = runs / "tiny-x2-tuned"
    progress = progress_in(folder)
    assert progress["step"] == run.outcome.step >= 4  # not step 0, where it was last measured
    assert progress["measured"] == 0
    assert load_model(folder / "tiny-x2-tuned.safetensors").scale == 2
    assert not is_at_work(folder)


def test_dock_that_is_opened_again_offers_what_was_broken_off(
    tune_dock: Dock, qtbot: Any, runs: Path
) -> None:
    viewer, dock = tune_dock()
    dock.start()
    run = wait_for_step(qtbot, dock, 4)
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(no_run_is_left, timeout=30000)
    _, again = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Fine-tune")
    assert again is not dock
    assert not again.controller.busy
    assert again.controller.run is None
    assert not again.panel.bar.isVisibleTo(again)
    assert again.panel.start_button.isVisibleTo(again)
    again._menu.fill()
    words = again._menu.actions()[0].text()
    assert words.startswith(f"tiny-x2-tuned · step {run.outcome.step}, ")
    again._menu.actions()[0].trigger()
    wait_for_step(qtbot, again, run.outcome.step + 1)
    assert finish(qtbot, again, again.stop).kind == "stopped"


def test_what_comes_after_the_dock_is_gone_is_let_pass(
    tune_dock: Dock,
    qtbot: Any,
    learnable: Path,
    messages: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Napari's events, and the answer of a file that was being looked into."""
    viewer, dock = tune_dock()
    slides, may_open = dock.form.slides, threading.Event()

    def slow(path: Path) -> Any:
        assert may_open.wait(30)
        return open_slide(path)

    monkeypatch.setattr("napari_cwtnet.plugin.docks.finetune_form.open_slide", slow)
    with qtbot.captureExceptions() as raised:
        slides.add_file(write_slide(learnable.with_name("other.tif")))
        viewer.window.remove_dock_widget(dock)
        dock.deleteLater()
        qtbot.waitUntil(lambda: not isalive(slides), timeout=10000)
        may_open.set()
        viewer.theme = "light"
        viewer.add_shapes([[[0, 0], [9, 9]]], name="new", units=("um", "um"))
        viewer.layers["new"].data = []
        viewer.layers[0].name = "renamed"
        viewer.layers.clear()
        qtbot.waitUntil(lambda: not QThreadPool.globalInstance().activeThreadCount(), timeout=20000)
        qtbot.wait(100)
        viewer.theme = "dark"
    assert not raised
    assert not messages


def test_best_model_is_added_even_when_the_window_closes(
    tune_dock: Dock, qtbot: Any, models: Path
) -> None:
    viewer, dock = tune_dock("start", learning_rate=1e-2, validate_every=10)
    dock.start()
    run = dock.controller.run
    start_is_beaten = lambda: (  # noqa: E731
        run.history.best is not None and run.history.best.step > 0
    )
    qtbot.waitUntil(start_is_beaten, timeout=60000)
    viewer.close()
    del dock
    qtbot.waitUntil(no_run_is_left, timeout=30000)
    assert run.outcome.kind == "closed"
    assert run.outcome.installed == "start-tuned"
    assert load_model("start-tuned").provenance["step"] > 0


def test_process_ends_soon_after_its_window(
    models: Path, runs: Path, learnable: Path, tmp_path: Path
) -> None:
    write_start(models)
    recipe = write_recipe(tmp_path, validate_every=1000)
    code = f"""
        import time
        import napari
        from napari_cwtnet.plugin.app import start
        from napari_cwtnet.plugin.app import FINETUNE, PLUGIN
        from qtpy.QtCore import QTimer

        viewer = start({str(learnable)!r})
        _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, FINETUNE)
        dock.form.recipe.line.setText({str(recipe)!r})

        def look():
            run = dock.controller.run
            if run is None and dock.form.slides.ticked:
                dock.start()
            elif run is not None and run.step >= 4:
                timer.stop()
                print(time.time(), flush=True)
                viewer.close()

        timer = QTimer()
        timer.timeout.connect(look)
        timer.start(20)
        napari.run()
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    ended = time.time()
    assert done.returncode == 0, done.stderr
    assert ended - float(done.stdout) < 30  # napari's own way out included; ten minutes are left
    (run,) = unfinished_runs(runs)
    assert run.step >= 4
    assert not is_at_work(run.path)
