"""Where memory runs short, tiles are computed in parts, and nothing is lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_cwtnet.enhancement import Canvas, Engine, EnhanceRequest, TileCounts, enhance, make_plan
from napari_cwtnet.enhancement.memory import LARGEST_TILES, _cgroup_free_bytes, is_out_of_memory
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import Slide

FIELD = Region(20, 30, 300, 200)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    LARGEST_TILES.clear()
    yield
    LARGEST_TILES.clear()


class Short:
    """Networks that run out of memory whenever ``fails`` says so."""

    def __init__(self, engine: Engine, fails: Callable[[int, int], BaseException | None]) -> None:
        self._networks, self._fails = engine._forward.networks, fails
        self._lock = threading.Lock()
        self.calls = 0
        engine._forward.networks = self  # type: ignore[assignment]

    def get(self, *which: Any) -> Callable[..., Any]:
        def network(lr: torch.Tensor, *given: Any, **more: Any) -> Any:
            with self._lock:
                self.calls += 1
                error = self._fails(self.calls, max(lr.shape[-2:]))
            if error is not None:
                raise error
            return self._networks.get(*which)(lr, *given, **more)

        return network


def enhanced(slide: Slide, engine: Engine) -> tuple[np.ndarray, TileCounts]:
    plan = make_plan(slide, engine.model, EnhanceRequest(FIELD, 2))
    canvas, tile_counts = Canvas(plan), TileCounts()
    for done in engine.run(slide, plan):
        canvas.add(done.tile, done.sr)
        tile_counts.add(done)
    assert (canvas.rgba[..., 3] == 255).all()
    return canvas.image, tile_counts


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes"),
]


@pytest.mark.parametrize("call", range(1, 8))
@pytest.mark.parametrize("scale", [2, 4])
def test_a_failure_at_any_call_costs_nothing(
    pattern_slide: Slide, make_model: Any, call: int, scale: int
) -> None:
    """One block whose receptive field the halo holds, and no pooling: parts give the same."""
    model = make_model(scale, seed=1, wt_source="lr_up", halo=24, tile=96)
    whole, untroubled = enhanced(pattern_slide, Engine(model, "cpu", 0, dtype="float32"))
    assert untroubled.in_parts == 0
    engine = Engine(model, "cpu", 0, dtype="float32")
    short = Short(engine, lambda n, _: ERRORS[call % 3] if n == call else None)
    image, tile_counts = enhanced(pattern_slide, engine)
    assert np.abs(image.astype(int) - whole).max() <= 1
    assert (tile_counts.in_parts > 0) == (short.calls > call)


def test_a_smaller_size_is_found_told_and_remembered(
    pattern_slide: Slide, make_model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model(2, seed=1, wt_source="lr_up", halo=8, tile=96)
    whole, _ = enhanced(pattern_slide, Engine(model, "cpu", 0, dtype="float32"))
    engine, failures = Engine(model, "cpu", 0, dtype="float32"), []

    def fails(_: int, side: int) -> BaseException | None:
        if side <= 40:
            return None
        failures.append(side)
        return MemoryError()

    Short(engine, fails)
    with caplog.at_level(logging.WARNING, "napari_cwtnet"):
        image, tile_counts = enhanced(pattern_slide, engine)
        assert len(failures) < 8
        failures.clear()
        again, _ = enhanced(pattern_slide, engine)
    assert failures == []
    assert np.array_equal(again, image)
    assert np.abs(image.astype(int) - whole).mean() < 0.5
    assert tile_counts.in_parts == len(
        make_plan(pattern_slide, model, EnhanceRequest(FIELD, 2)).tiles
    )
    (record,) = caplog.records
    assert "computed in parts" in record.message


def test_where_nothing_fits_it_is_said(pattern_slide: Slide, make_model: Any) -> None:
    engine = Engine(make_model(2), "cpu", 0)
    short = Short(engine, lambda *_: MemoryError())
    with pytest.raises(RequestError, match=r"Device 'cpu' ran out of memory even with tiles of"):
        enhanced(pattern_slide, engine)
    assert short.calls < 12


def test_tiles_are_made_smaller_beforehand(
    pattern_slide: Slide, make_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(2, seed=1, halo=8, tile=96)
    need = Engine(model, "cpu")._split.expected_bytes(96, 96)
    monkeypatch.setattr("napari_cwtnet.enhancement.memory.free_bytes", lambda _: need)
    result = enhance(pattern_slide, FIELD, 2, model=model, device="cpu")
    assert result.provenance["tiles_in_parts"] == len(result.plan.tiles)


def test_other_errors_are_left_alone(pattern_slide: Slide, make_model: Any) -> None:
    engine = Engine(make_model(2), "cpu", 0)
    Short(engine, lambda *_: RuntimeError("a kernel is missing"))
    with pytest.raises(RuntimeError, match="a kernel is missing"):
        enhanced(pattern_slide, engine)
    assert not is_out_of_memory(RuntimeError("a kernel is missing"))
    assert not is_out_of_memory(ValueError("not enough memory"))


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    assert _cgroup_free_bytes(tmp_path) >= 2**60
    (tmp_path / "memory.current").write_text("300\n")
    (tmp_path / "memory.stat").write_text("anon 200\ninactive_file 60\nactive_file 40\nshmem 9\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert _cgroup_free_bytes(tmp_path) >= 2**60
    (tmp_path / "memory.max").write_text("1000\n")
    assert _cgroup_free_bytes(tmp_path) == 800  # files are let go of when memory is wanted


def test_the_predicted_error_survives_the_parts(pattern_slide: Slide, make_model: Any) -> None:
    model = make_model(2, seed=1, wt_source="lr_up", halo=24, tile=96, error_channels=4)
    plan = make_plan(pattern_slide, model, EnhanceRequest(FIELD, 2))
    found = []
    for fails in (False, True):
        engine, canvas = Engine(model, "cpu", 0, dtype="float32"), Canvas(plan)
        if fails:
            Short(engine, lambda n, _: MemoryError() if n == 1 else None)
        for done in engine.run(pattern_slide, plan):
            canvas.add(done.tile, done.sr, done.error)
        assert canvas.error is not None
        assert canvas.error.shape == (plan.lattice.size.height, plan.lattice.size.width)
        found.append(canvas.error)
    assert found[0].std() > 0
    np.testing.assert_allclose(found[1], found[0], rtol=0.01)
