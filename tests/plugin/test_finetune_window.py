"""The window goes on while a model learns: real slide, shipped model."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QTimer

from plugin.finetune_help import finish, no_run_is_left


def test_the_window_goes_on_while_a_model_learns(
    make_napari_viewer: Callable[..., Any],
    qtbot: Any,
    svs: Path,
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reading, measuring, steps and checkpoints: what the window's thread does in between."""
    monkeypatch.setenv("CWTNET_MODELS", str(tmp_path / "models"))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("steps: 6\nvalidate_every: 3\nbatch: 4\n", encoding="utf-8")
    viewer = make_napari_viewer()
    viewer.open(svs, plugin="napari-cwtnet")
    _, dock = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Fine-tune")
    if dock.form.model.findText("cwtnet-lite-x2") < 0:
        pytest.skip("cwtnet-lite-x2 does not ship")
    dock.form.model.setCurrentText("cwtnet-lite-x2")
    dock.form.recipe.line.setText(str(recipe))
    qtbot.wait(300)
    work: list[float] = []
    clock: list[float] = []
    timer = QTimer()

    def beat() -> None:
        work.append(time.thread_time())
        clock.append(time.perf_counter())

    timer.timeout.connect(beat)
    timer.start(10)
    outcome = finish(qtbot, dock)
    timer.stop()
    qtbot.waitUntil(no_run_is_left, timeout=20000)
    assert (outcome.kind, outcome.step) == ("done", 6)
    gaps = np.diff(clock)
    print(f"{len(gaps)} beats; own work {max(np.diff(work)) * 1000:.0f} ms at most; gaps:")
    print(*(f"{name} {value * 1000:.0f} ms" for name, value in quantiles(gaps).items()), sep=", ")
    assert len(work) > 50
    assert max(np.diff(work)) < 0.1  # its own work between two beats
    assert np.quantile(gaps, 0.95) < 0.1  # what it waits for others, be it the interpreter's lock


def quantiles(gaps: np.ndarray) -> dict[str, float]:
    return {"median": np.median(gaps), "99 %": np.quantile(gaps, 0.99), "longest": gaps.max()}
