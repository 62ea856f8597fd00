"""What somebody waits for has all free cores; what takes minutes leaves one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_cwtnet.enhancement import Engine
from napari_cwtnet.enhancement.devices import ExternalCpuLoad
from napari_cwtnet.export.whole_slide import Job
from napari_cwtnet.plugin.tasks import whole_slide
from napari_cwtnet.training import trainer
from plugin.enhance_help import finish
from plugin.finetune_help import finish as finish_learning

FREE = 3


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three free cores, where torch would take six."""
    before = torch.get_num_threads()
    torch.set_num_threads(2 * FREE)
    monkeypatch.setattr("napari_cwtnet.enhancement.devices.granted_cores", lambda: FREE)
    monkeypatch.setattr(ExternalCpuLoad, "cores", lambda _: 0)
    yield
    torch.set_num_threads(before)


def watch(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[tuple[int, int]]:
    """Calls at work together, and torch's threads, at the beginning of each call from now on."""
    plain, lock, at_work, seen = getattr(owner, name), threading.Lock(), set(), []

    def watched(*given: Any, **named: Any) -> Any:
        me = threading.get_ident()
        with lock:
            at_work.add(me)
            seen.append((len(at_work), torch.get_num_threads()))
        try:
            return plain(*given, **named)
        finally:
            with lock:
                at_work.discard(me)

    monkeypatch.setattr(owner, name, watched)
    return seen


def test_a_view_takes_all_of_them_for_its_first_tile_and_then_a_tile_each(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, dock = enhance_dock(ome)
    seen = watch(monkeypatch, Engine, "_compute_tile")
    assert finish(qtbot, dock).kind == "done"
    assert seen[0] == (1, FREE)
    assert {threads for _, threads in seen[1:-1]} == {1}
    assert 1 < max(together for together, _ in seen) <= FREE


def test_fine_tuning_leaves_one(
    tune_dock: Callable[..., Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, dock = tune_dock(steps=3, validate_every=3)
    seen = watch(monkeypatch, trainer, "total_loss")
    assert finish_learning(qtbot, dock).kind == "done"
    assert set(seen) == {(1, FREE - 1)}


def test_a_whole_slide_leaves_one(
    ome: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watch(monkeypatch, whole_slide, "enhance_to_file")
    job = Job(ome, str(models / "tiny-x2.safetensors"), None, 2.0, device="cpu")
    run = whole_slide.WholeRun(job, tmp_path / "whole.ome.zarr")
    run.start()
    run.join(60)
    assert run.outcome.kind == "done"
    assert seen == [(1, FREE - 1)]
