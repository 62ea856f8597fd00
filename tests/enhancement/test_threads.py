"""The same image from one thread and from many, and how many there are."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from napari_cwtnet.enhancement import Engine, EnhanceRequest, enhance, free_cores, make_plan
from napari_cwtnet.enhancement.devices import (
    ExternalCpuLoad,
    compute_with,
    granted_cores,
    share_cores,
)
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import Slide


@pytest.fixture
def threads() -> Iterator[None]:
    """Sets the number of threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("scale", "reference"), [(2, "none"), (4, "none"), (4, "next")])
def test_pixels_do_not_depend_on_threads(
    pattern_slide: Slide,
    make_model: Any,
    threads: None,
    scale: int,
    reference: str,
    dtype: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("napari_cwtnet.enhancement.devices.free_cores", lambda: 5)
    model = make_model(scale, seed=5, blocks=2, channels=16)
    images = []
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        result = enhance(
            pattern_slide, (0, 0, 300, 220), 2, model=model, reference=reference, device="cpu",
            dtype=dtype,
        )  # fmt: skip
        images.append(result.image)
    for image in images[1:]:
        assert_equal_but_for_rounding(image, images[0])


def assert_equal_but_for_rounding(image: Any, other: Any) -> None:
    """Some processors add up in another order for another number of threads.

    Then a value that lies between two grey levels may fall to either; few lie so close.
    """
    difference = np.abs(image.astype(int) - other)
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 1e-3


def test_first_and_last_tile_have_all_cores_for_themselves(
    pattern_slide: Slide, make_model: Any, threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_cwtnet.enhancement.devices.free_cores", lambda: 4)
    torch.set_num_threads(4)
    lock, now, seen = threading.Lock(), [], []
    compute_tile = Engine._compute_tile

    def watched(*given: Any) -> Any:
        with lock:
            now.append(None)
            seen.append((len(now), torch.get_num_threads()))
        try:
            return compute_tile(*given)
        finally:
            with lock:
                now.pop()

    monkeypatch.setattr(Engine, "_compute_tile", watched)
    model = make_model(2)
    plan = make_plan(pattern_slide, model, EnhanceRequest(Region(0, 0, 240, 260), 1))
    engine = Engine(model, "cpu", 0, skip_background=False)
    tiles = len(list(engine.run(pattern_slide, plan, first_soon=True)))
    assert len(seen) == tiles == 1 + 28 + 1
    assert seen[0] == seen[-1] == (1, 4)
    assert {threads for _, threads in seen[1:-1]} == {1}
    assert max(together for together, _ in seen) > 1


def in_a_new_thread(function: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_a_run_leaves_the_number_of_threads_as_it_was(
    pattern_slide: Slide, make_model: Any, threads: None
) -> None:
    """Here, and in threads to come, such as one that learns; also while it is at work."""
    torch.set_num_threads(2)
    during: set[int] = set()

    def progress(_: int, __: int) -> None:
        during.add(in_a_new_thread(torch.get_num_threads))

    enhance(
        pattern_slide, (0, 0, 300, 220), 2, model=make_model(2), device="cpu", progress=progress
    )
    assert torch.get_num_threads() == in_a_new_thread(torch.get_num_threads) == 2
    assert during == {2}


def test_a_thread_that_has_not_computed_yet_is_limited_too(threads: None) -> None:
    torch.set_num_threads(4)

    def limited() -> int:
        compute_with(1)
        return torch.get_num_threads()

    assert in_a_new_thread(limited) == 1


def test_a_busy_moment_limits_no_later_thread(threads: None) -> None:
    torch.set_num_threads(6)
    seen = []
    for free in (1, 5, 9):

        def limited(free: int = free) -> int:
            compute_with(min(torch.get_num_threads(), free))
            return torch.get_num_threads()

        seen.append(in_a_new_thread(limited))
    assert seen == [1, 5, 6]
    assert torch.get_num_threads() == 6


@pytest.mark.parametrize(
    ("set_to", "free", "pieces", "shares"),
    [
        (8, 8, 3, (3, 2)),
        (8, 4, 16, (4, 1)),
        (2, 8, 16, (2, 1)),
        (8, 8, 1, (1, 8)),
        (1, 1, 9, (1, 1)),
    ],
)
def test_cores_are_shared_out(
    threads: None, monkeypatch: pytest.MonkeyPatch, set_to: int, free: int, pieces: int, shares: Any
) -> None:
    monkeypatch.setattr("napari_cwtnet.enhancement.devices.free_cores", lambda: free)
    torch.set_num_threads(set_to)
    assert share_cores(pieces) == shares


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_a_containers_quota_counts(tmp_path: Path, files: dict[str, str], cores: Any) -> None:
    unlimited = len(psutil.Process().cpu_affinity() or []) if sys.platform == "linux" else None
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = granted_cores(tmp_path)
    assert found == cores if cores is not None else found == unlimited or unlimited is None


@pytest.mark.parametrize(
    ("granted", "others", "leave", "free"),
    [(8, 0, 0, 8), (8, 0, 1, 7), (8, 2.6, 0, 5), (8, 7.9, 0, 4), (2, 1.9, 0, 1), (1, 0, 1, 1)],
)
def test_what_others_keep_busy_is_theirs(
    monkeypatch: pytest.MonkeyPatch, granted: int, others: float, leave: int, free: int
) -> None:
    monkeypatch.setattr("napari_cwtnet.enhancement.devices.granted_cores", lambda: granted)
    monkeypatch.setattr(ExternalCpuLoad, "cores", lambda _: others)
    assert free_cores(leave) == free


def test_the_load_of_others_is_seen() -> None:
    load = ExternalCpuLoad()
    program = "print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()  # it has been loaded, however long that took
        try:
            load.cores()
            time.sleep(1.2)
            seen = load.cores()
        finally:
            busy.kill()
    assert seen > 0.25  # of the core that it may have to share
