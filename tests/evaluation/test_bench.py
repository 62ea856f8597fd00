"""The bench measures what it says, and the naive attention is the same attention."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from enhancement.conftest import make_model, pattern_slide  # noqa: F401 - fixtures

from napari_cwtnet.cli import main
from napari_cwtnet.enhancement import dtype_name, own_dtype
from napari_cwtnet.errors import RequestError
from napari_cwtnet.evaluation.bench import (
    TimedTask,
    in_turns,
    memory,
    naive_memory,
    reading,
    viewport,
)
from napari_cwtnet.evaluation.bench.naive import naive_network, networks
from napari_cwtnet.evaluation.bench.slides import flops_per_pixel
from napari_cwtnet.model import CwtNet, preset


def test_tasks_take_turns_and_preparation_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, seen = [0.0], []

    def spend(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    tasks = {
        "a": TimedTask(lambda: seen.append("a")),
        "b": TimedTask(lambda: seen.append("b"), lambda: spend(20), lambda: spend(30)),
        "c": TimedTask(lambda: spend(5)),
    }
    found = in_turns(tasks, repeats=3)
    assert "".join(seen) == "abbaabab"  # c is silent; rounds begin with a, b, c, a
    assert found["b"].most == 0
    assert found["c"].least == found["c"].median == found["c"].most == 5


@torch.no_grad()
@pytest.mark.parametrize("normalisation", ["nine", "count"])
def test_naive_attention_is_the_same_attention(normalisation: str) -> None:
    torch.manual_seed(0)
    config = preset("paper", 2, blocks=2, channels=16, patch_normalisation=normalisation)
    ours, naive = CwtNet(config).eval(), naive_network(config)
    naive.load_state_dict(ours.state_dict())
    lr = torch.rand(1, 3, 16, 14)
    torch.testing.assert_close(ours(lr).sr, naive(lr).sr, atol=1e-5, rtol=1e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a peak from a moment on")
def test_naive_attention_takes_the_memory_of_its_matrix() -> None:
    found = naive_memory((80,), "lite")
    matrix = 80**4 * 4 / 2**20  # MiB
    assert matrix < found["naive, 80×80"] < 2 * matrix
    for search in ("aligned", "window 8", "full"):
        assert 1 < found[f"{search}, 80×80"] < 0.15 * matrix


@torch.no_grad()
@pytest.mark.parametrize("search", ["full", "window 8", "aligned"])
def test_networks_of_the_bench_search_as_they_are_called(search: str) -> None:
    torch.manual_seed(0)
    found = networks("paper", blocks=2, channels=16)
    for network in found.values():
        network.load_state_dict(found["naive"].state_dict())
    lr = torch.rand(1, 3, 20, 20)
    near = torch.allclose(found[search](lr).sr, found["naive"](lr).sr, atol=1e-5)
    assert near == (search == "full")


def test_floating_point_operations_of_a_network_that_can_be_counted_by_hand() -> None:
    config = preset("lite", 2, wt_branch=False, blocks=1, channels=8, sr_residual_blocks=1)
    by_hand = (
        3 * 8 + 2 * 8 * 8 + 8 * 32 + 4 * 8 * 3
    )  # head, one RB, shuffle, last at twice the size
    assert flops_per_pixel(CwtNet(config), with_reference=False) == 2 * 9 * by_hand


def test_views_are_timed_and_what_is_kept_is_fetched(pattern_slide, make_model) -> None:  # noqa: F811
    view = viewport(pattern_slide, make_model(2, seed=1), side=200, downsample=1, device="cpu")
    assert view.mode == "single-image"
    assert view.tiles == 25
    times = in_turns(view.tasks, repeats=3)
    assert times["cached"].median < 0.5 * times["end to end"].median
    assert times["pan by a quarter"].median < times["end to end"].median
    assert times["first tile"].median < times["end to end"].median


def test_reading_wants_what_openslide_can_read(tmp_path: Path) -> None:
    path = tmp_path / "no.png"
    path.write_bytes(b"nothing")
    with pytest.raises(RequestError, match="leave reading out"):
        reading(path)


def test_memory_is_that_of_a_process_of_its_own(pattern_slide) -> None:  # noqa: F811
    ours = np.ones(1200 * 2**20, np.uint8)  # which is none of the other's
    found = memory(pattern_slide.path, "cwtnet-lite-x2", "cpu", (1,))
    assert ours.all()
    assert 100 < found[1]["started_mib"] < found[1]["peak_mib"] < 1200
    with pytest.raises(RequestError, match="failed"):
        memory(pattern_slide.path, "no-such-model", "cpu", (1,))


def test_command_reports_ratios_of_one_run(pattern_slide, make_model, tmp_path, capsys) -> None:  # noqa: F811
    model = str(make_model(2, seed=1).path)
    words = f"bench --slide {pattern_slide.path} --models {model} --repeats 1 --side 64 --json"
    words += " --downsample 1 --only view naive --naive-sides 16 --naive-size lite --device cpu"
    assert main(words.split()) == 0
    shown = capsys.readouterr()
    said = json.loads(shown.out)
    own = dtype_name(own_dtype(torch.device("cpu")))
    assert {"gemm float32", "conv 3×3 64→64 bfloat16"} <= said["peak_gflops"].keys()
    assert said["views"].keys() == {f"x2-1-0.5- {dtype}" for dtype in {"float32", own}}
    assert f"preparing the view: x2-1-0.5- {own}\n" in shown.err
    assert re.search(r"^round 1 of 1, \d+\.\d min left: naive$", shown.err, re.MULTILINE)
    view = said["views"][f"x2-1-0.5- {own}"]
    assert view["dtype"] == said["machine"]["dtype"] == own
    limits = [
        view[share] * view["times"][task]["median_s"]
        for share, task in (
            ("fraction_of_limit", "end to end"),
            ("fraction_of_limit_network_only", "network only"),
        )
    ]
    assert limits == pytest.approx([limits[0]] * 2, rel=0.02)  # shares have three digits
    assert limits[0] > 0
    assert view["times"]["cached"]["median_s"] < view["times"]["end to end"]["median_s"]
    assert said["naive"]["aligned, 16×16"]["times_faster"] > 0
    assert "times_faster" not in said["naive"]["naive, 16×16"]
    if sys.platform == "linux":
        assert said["naive"]["window 8, 16×16"]["extra_mib"] >= 0
    shorter = words.replace(" --json", "").replace(" naive --naive-sides 16 --naive-size lite", "")
    assert main(shorter.split()) == 0
    assert "of the limit; of it first tile" in capsys.readouterr().out
