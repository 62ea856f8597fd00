"""Long work says on stderr how far it is, also where that is no terminal."""

from __future__ import annotations

import time

import pytest

from napari_cwtnet.cli.bench import Rounds
from napari_cwtnet.cli.report import Progress
from napari_cwtnet.evaluation.bench import TimedTask, in_turns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that a clock shows; set the first to move it."""
    shown = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: shown[0])
    return shown


def test_a_log_gets_a_line_every_half_minute(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress("tile")
    clock[0] += 500  # which was none of the work's
    progress(0, 240)
    for done in range(1, 241):
        clock[0] += 1
        progress(done, 240)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "tile 30 of 240, 3.5 min left"
    assert [line.split()[1] for line in lines] == ["30", "60", "90", "120", "150", "180", "210"]


def test_short_work_says_nothing_in_a_log(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress("tile")
    for done in range(5):
        clock[0] += 7
        progress(done, 4)
    assert capsys.readouterr().err == ""


def test_rounds_say_what_is_measured_once(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    def minute() -> None:
        clock[0] += 60

    names = ("peak | gemm", "peak | conv", "lite | whole", "lite | pan")
    in_turns({name: TimedTask(minute) for name in names}, 2, Rounds(2, " | "))
    assert capsys.readouterr().err.splitlines() == [
        "first round, which is not counted: peak",
        "first round, which is not counted: lite",
        "round 1 of 2, 8.0 min left: peak",
        "round 1 of 2, 7.0 min left: lite",
        "round 1 of 2, 5.0 min left: peak",
        "round 2 of 2, 4.0 min left: lite",
        "round 2 of 2, 2.0 min left: peak",
    ]
