"""Memory that runs out, values that are none, slides that vanish: one message, nothing lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_cwtnet.enhancement.memory import LARGEST_TILES
from napari_cwtnet.errors import RequestError
from napari_cwtnet.model import CwtNet
from napari_cwtnet.plugin.tasks.runner import fault_words
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from plugin.enhance_help import finish, results, threads, wait_for_tiles


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    LARGEST_TILES.clear()
    yield
    LARGEST_TILES.clear()


class Fault:
    """What every network does instead of its work at some of its calls, until it is mended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.at: Callable[[int], bool] = lambda _: False
        self.does: Callable[[Any], Any] = lambda output: output
        forward = CwtNet.forward

        def spoilt(network: CwtNet, *given: Any, **more: Any) -> Any:
            self.calls += 1
            output = forward(network, *given, **more)
            return self.does(output) if self.at(self.calls) else output

        monkeypatch.setattr(CwtNet, "forward", spoilt)

    def mend(self) -> None:
        self.at = lambda _: False


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    return Fault(monkeypatch)


def no_memory(_: Any) -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory")


def no_numbers(output: Any) -> Any:
    output.sr[0, 0, 3, 4] = float("nan")
    return output


def told_once_and_over(dock: Any, outcome: Any, messages: list[str]) -> None:
    """One line in the window, nothing at work, and the buttons say so."""
    assert outcome.kind == "failed"
    assert messages.count(outcome.message) == 1
    assert dock.status == outcome.message
    assert "\n" not in outcome.message
    assert threads() == []
    assert not dock.controller.busy
    assert not dock.cancel_button.isEnabled()
    assert dock.view_button.isEnabled()


@pytest.mark.parametrize("call", [1, 2, 5])
def test_memory_that_runs_out_once_costs_nothing(
    enhance_dock: Callable[..., Any],
    fault: Fault,
    qtbot: Any,
    ome: Path,
    messages: list[str],
    call: int,
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 3
    fault.at, fault.does = lambda number: number == call, no_memory
    outcome = finish(qtbot, dock)
    assert fault.calls > call
    assert (outcome.kind, outcome.done) == ("done", outcome.total)
    assert outcome.tile_counts.in_parts > 0
    assert messages == []
    (layer,) = results(viewer)
    assert (layer.data[..., 3] == 255).all()
    dock.release_button.click()  # whole tiles are tried again
    assert finish(qtbot, dock).tile_counts.in_parts == 0


@pytest.mark.parametrize("does", [no_memory, no_numbers])
@pytest.mark.parametrize("call", [1, 3])
def test_a_fault_that_stays_is_told_and_what_was_finished_is_kept(
    enhance_dock: Callable[..., Any],
    fault: Fault,
    qtbot: Any,
    ome: Path,
    messages: list[str],
    call: int,
    does: Any,
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 3
    fault.at, fault.does = lambda number: number >= call, does
    outcome = finish(qtbot, dock)
    told_once_and_over(dock, outcome, messages)
    assert len(messages) == 1
    said = "ran out of memory" if does is no_memory else "values that are not finite"
    assert said in outcome.message
    if results(viewer):
        assert set(results(viewer)[0].data[..., 3].ravel()) <= {0, 255}
    fault.mend()
    LARGEST_TILES.clear()
    again = finish(qtbot, dock)
    assert (again.kind, again.done) == ("done", again.total)
    assert again.cached == outcome.done
    assert len(results(viewer)) == 1
    assert (results(viewer)[0].data[..., 3] == 255).all()


def test_a_slide_that_is_cut_off_in_mid_run(
    enhance_dock: Callable[..., Any], qtbot: Any, svs: Path, tmp_path: Path, messages: list[str]
) -> None:
    """As when a network drive goes, or somebody copies another file over it."""
    path = tmp_path / "slide.svs"
    shutil.copyfile(svs, path)
    viewer, dock = enhance_dock(path)
    viewer.scene.camera.zoom *= 3
    slide = slide_of(viewer.layers[0])
    with qtbot.waitSignal(dock.controller.ended, timeout=60000) as blocker:
        dock.enhance_view()
        wait_for_tiles(qtbot, dock, 2)
        os.truncate(path, 20_000)
        slide._cache.forget(slide._owner)  # else all of so small a slide is in memory by now
    (outcome,) = blocker.args
    told_once_and_over(dock, outcome, messages)
    assert len(messages) <= 2  # the slide's own layer may say so too, once
    assert outcome.message.startswith("Slide 'slide.svs' cannot be read at tile ")
    assert outcome.message.endswith("copy the file again from its source.")
    assert 2 <= outcome.done < outcome.total
    (layer,) = results(viewer)
    assert (layer.data[..., 3] == 255).any()


def test_a_slide_that_is_deleted_in_mid_run(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, tmp_path: Path, messages: list[str]
) -> None:
    """Its open file stays readable where the system keeps it; elsewhere it cannot be deleted."""
    path = tmp_path / "slide.ome.tif"
    shutil.copyfile(ome, path)
    viewer, dock = enhance_dock(path)
    viewer.scene.camera.zoom *= 3
    with qtbot.waitSignal(dock.controller.ended, timeout=60000) as blocker:
        dock.enhance_view()
        wait_for_tiles(qtbot, dock, 1)
        path.unlink()
        slide = slide_of(viewer.layers[0])
        slide._cache.forget(slide._owner)
    assert blocker.args[0].kind == "done"
    assert messages == []


@pytest.mark.parametrize(
    ("error", "words", "logged"),
    [
        (RequestError("Nothing there."), "Nothing there.", 0),
        (MemoryError(), "No room.", 0),
        (torch.OutOfMemoryError("CUDA"), "No room.", 0),
        (KeyError(), "Work failed: KeyError: ", 1),
        (ValueError("bad\nat line 1"), "Work failed: ValueError: bad", 1),
    ],
)
def test_only_what_nobody_foresaw_is_logged_as_a_fault(
    caplog: pytest.LogCaptureFixture, error: Exception, words: str, logged: int
) -> None:
    assert fault_words(error, "Work", "No room.") == words
    assert [one.message for one in caplog.records] == ["Work failed"] * logged
