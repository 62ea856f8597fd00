"""What is prefetched comes in order, stops at once, and hides no error."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from slides.pattern import write_ome

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Engine, EnhanceRequest, enhance, make_plan
from napari_cwtnet.enhancement.engine import prefetch
from napari_cwtnet.errors import CancelledError, SlideError
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import Slide, open_slide

FIELD = Region(0, 0, 700, 500)


def busy() -> list[str]:
    return [
        t.name for t in threading.enumerate() if t.name.startswith(("napari-cwtnet", "prefetch"))
    ]


@pytest.mark.parametrize("hurry", [False, True])
@pytest.mark.parametrize(("workers", "depth"), [(1, 1), (1, 3), (3, 4)])
def test_results_come_in_order_and_not_too_far_ahead(workers: int, depth: int, hurry: bool) -> None:
    taken = []

    def items() -> Any:
        for number in range(12):
            taken.append(number)
            yield number

    def slow_at_first(number: int) -> int:
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number * number

    given = []
    for result in prefetch(
        slow_at_first, items(), workers=workers, depth=depth, name="prefetch", hurry=hurry
    ):
        given.append(result)
        assert len(taken) <= len(given) + depth
    assert given == [number * number for number in range(12)]
    assert busy() == []


def test_an_error_comes_at_its_item_and_ends_it() -> None:
    def fails(number: int) -> int:
        if number == 3:
            raise SlideError("gone")
        return number

    running = prefetch(fails, range(100), workers=2, depth=3, name="prefetch")
    assert [next(running) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SlideError, match="gone"):
        next(running)
    assert busy() == []


def test_an_error_of_what_feeds_it_comes_after_all_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise SlideError("gone")

    running = prefetch(lambda number: number, items(), workers=2, depth=5, name="prefetch")
    assert [next(running) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SlideError, match="gone"):
        next(running)
    assert busy() == []


def test_an_error_of_the_caller_leaves_no_thread(pattern_slide: Slide, make_model: Any) -> None:
    """Though its traceback, which the test still holds, holds on to the run."""

    def progress(_: int, __: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as told:
        enhance(pattern_slide, FIELD, 2, model=make_model(2), device="cpu", progress=progress)
    assert told.tb is not None
    assert busy() == []


def test_closing_drops_what_has_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, waited_for = [], threading.Event()

    class Pool(ThreadPoolExecutor):
        """Tells when all there is to wait for is what has begun."""

        def shutdown(self, *words: Any, **settings: Any) -> None:
            waited_for.set()
            super().shutdown(*words, **settings)

    monkeypatch.setattr("napari_cwtnet.enhancement.engine.ThreadPoolExecutor", Pool)

    def noted(number: int) -> int:
        begun.append(number)
        assert number == 0 or waited_for.wait(60)
        return number

    running = prefetch(noted, range(100), workers=1, depth=5, name="prefetch")
    next(running)
    running.close()
    assert begun in ([0], [0, 1])
    assert busy() == []


def test_a_run_that_is_left_or_cancelled_leaves_no_thread(
    pattern_slide: Slide, make_model: Any
) -> None:
    engine = Engine(make_model(2, seed=1), "cpu", 0)
    plan = make_plan(pattern_slide, engine.model, EnhanceRequest(FIELD, 1))
    assert len(plan.tiles) > 20
    running = engine.run(pattern_slide, plan)
    next(running)
    running.close()
    assert busy() == []
    token = CancelToken()
    running = engine.run(pattern_slide, plan, token)
    next(running)
    token.cancel()
    with pytest.raises(CancelledError):
        next(running)
    assert busy() == []


def test_the_next_tiles_are_read_while_one_is_computed(
    pattern_slide: Slide, make_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tile but the last ones waits, while it is computed, until two later ones are read."""
    engine = Engine(make_model(2, seed=1), "cpu", 0)
    plan = make_plan(pattern_slide, engine.model, EnhanceRequest(FIELD, 2))
    monkeypatch.setattr("napari_cwtnet.enhancement.engine.share_cores", lambda _: (1, 1))
    read, computed = engine.read, engine._compute_tile
    changed = threading.Condition()
    were_read, seen = 0, []

    def noted(*given: Any) -> Any:
        nonlocal were_read
        found = read(*given)
        with changed:
            were_read += 1
            changed.notify_all()
        return found

    def waits(*given: Any) -> Any:
        wanted = min(len(seen) + 3, len(plan.tiles))
        with changed:
            seen.append(changed.wait_for(lambda: were_read >= wanted, 10))
        return computed(*given)

    monkeypatch.setattr(engine, "read", noted)
    monkeypatch.setattr(engine, "_compute_tile", waits)
    assert len(list(engine.run(pattern_slide, plan))) == len(seen) == len(plan.tiles) > 5
    assert all(seen)


def test_a_slide_that_vanishes_gives_one_clear_error(tmp_path: Any, make_model: Any) -> None:
    path = write_ome(tmp_path / "gone.ome.tif")
    engine = Engine(make_model(2), "cpu", 0)
    with open_slide(path) as slide:
        plan = make_plan(slide, engine.model, EnhanceRequest(FIELD, 1))
        running = engine.run(slide, plan)
        next(running)
        with path.open("r+b") as file:
            file.truncate(600)
        with pytest.raises(SlideError, match=r"gone\.ome\.tif"):
            list(running)
    assert busy() == []
