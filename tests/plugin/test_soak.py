"""Enhance, cancel and pan again and again: it always comes to rest, and nothing is left behind."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from napari_cwtnet.enhancement import Canvas
from napari_cwtnet.plugin.tasks.enhance import EnhanceRun
from plugin.enhance_help import results, threads

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the tool, which does hundreds of cycles."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    monkeypatch.syspath_prepend(TOOLS)
    import soak

    return soak


def kept() -> list[object]:
    """Runs and canvases that something still holds."""
    gc.collect()
    return [one for one in gc.get_objects() if type(one) in (EnhanceRun, Canvas)]


def test_nothing_grows(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, soak: ModuleType
) -> None:
    of_others = kept()  # by the traceback of a test that failed, say
    viewer, dock = enhance_dock(ome, show=True)
    viewer.scene.camera.zoom *= 2
    done = list(soak.cycles(viewer, dock, 16, lambda seconds: qtbot.wait(round(seconds * 1000))))
    assert [one.kind for one in done[::4]] == ["done"] * 4
    assert [one.kind for one in done].count("cancelled") > 8
    memory, more = soak.growth(done)
    print(f"memory {memory:+.2%}, threads {more:+d}")
    assert memory < 0.05  # a fifth of the cycles is a release of the memory, or none
    assert more <= 0
    assert threads() == []
    assert [one for one in kept() if not any(one is other for other in of_others)] == []
    assert len(results(viewer)) == 1


def test_cancel_a_dozen_times(enhance_dock: Callable[..., Any], qtbot: Any, ome: Path) -> None:
    """At any moment: before the first tile, after some, while a newer request waits."""
    _, dock = enhance_dock(ome)
    before = threading.active_count()
    rng = np.random.default_rng(0)
    for number in range(12):
        dock.release_button.click()
        dock.enhance_view()
        run = dock.controller.run
        if number % 3 == 1:
            qtbot.waitUntil(lambda run=run: run.done > 0 or run.outcome is not None, timeout=20000)
        elif number % 3 == 2:
            qtbot.wait(int(rng.integers(0, 60)))
            dock.enhance_view()  # waits for the tile at work
        dock.cancel_button.click()
        done = run.done  # after it: the thread may be tiles ahead of what was seen before
        qtbot.waitUntil(lambda: not dock.controller.busy, timeout=20000)
        assert run.outcome.kind == "cancelled"
        assert run.outcome.done <= done + 1
        assert threads() == []
    assert threading.active_count() <= before
    assert dock.status.startswith("Cancelled")
