from __future__ import annotations

from types import SimpleNamespace

import pytest

from napari_cwtnet.geometry import Region
from napari_cwtnet.plugin.tasks.enhance import Outcome
from napari_cwtnet.plugin.viewer.requests import on_lattice
from napari_cwtnet.plugin.viewer.wording import progress_words, time_words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.1, "1 s"), (4.2, "5 s"), (120, "120 s"), (121, "3 min")]
)
def test_time(seconds: float, words: str) -> None:
    assert time_words(seconds) == words


def test_outcomes() -> None:
    assert Outcome("cancelled", 3, 0, 20, 1.0).sentence == "Cancelled: 3 of 20 tiles kept"
    assert Outcome("done", 20, 0, 20, 1.25).sentence == "Done: 20 tiles in 1.2 s"
    some = Outcome("done", 20, 8, 20, 1.25)
    assert some.sentence == "Done: 20 tiles in 1.2 s, 8 of them from memory"
    assert Outcome("failed", 3, 0, 20, 1.0, message="No.").sentence == "No."


def test_a_run_that_waits() -> None:
    assert progress_words(None, cancelling=True) == "Waiting for the current tile…"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.1, "0 of 16 tiles"), (0.5, "Loading the model…")]
)
def test_loading_is_told_only_where_it_takes_long(seconds: float, words: str) -> None:
    run = SimpleNamespace(
        phase="loading", seconds=seconds, parts=[None], done=0, total=16, pace=None
    )
    assert progress_words(run, cancelling=False) == words


@pytest.mark.parametrize("downsample", [1.0, 2.0, 4.0])
def test_views_lie_on_one_lattice(downsample: float) -> None:
    region = Region(5.25, 7.5, 2.125, 9.75)
    on = on_lattice(region, downsample)
    assert on.intersection(region) == region
    assert {on.x % downsample, on.y % downsample, on.width % downsample} == {0}
    assert on.width < region.width + 2 * downsample
