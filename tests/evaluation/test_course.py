"""What a user reads while a table is done, and finds in the folders of its runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from training.conftest import tiles

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import OutputError
from napari_cwtnet.evaluation.reproduce import TABLES, Driver, Plan, course, runs
from napari_cwtnet.evaluation.reproduce.course import Course, Place
from napari_cwtnet.evaluation.reproduce.experiment import Budget, Row
from napari_cwtnet.evaluation.reproduce.rows_file import ROWS, note_row


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What :func:`time.monotonic` says to the course."""
    now = [0.0]
    monkeypatch.setattr(course.time, "monotonic", lambda: now[0])
    return now


def places() -> list[Place]:
    plain = Row("bicubic", "bicubic")
    rows = [Row("A", "single-image", {}), Row("B", "single-image", {})]
    return [Place(plain, 4, 0), *(Place(row, 4, seed) for seed in (0, 1) for row in rows)]


def test_time_left_is_that_of_the_same_row_or_else_of_all(clock: list[float]) -> None:
    said: list[str] = []
    done: set[str] = set()
    told = Course(
        "Table I",
        places(),
        lambda place: place.row.changes is not None and str(place) not in done,
        said.append,
    )
    told.begin(0)
    told("testing")
    assert said[-1] == "Table I, run 1 of 5: bicubic ×4: testing"
    told.begin(1)
    told("training")
    assert said[-1] == "Table I, run 2 of 5: A ×4, seed 0: training"  # how long, nobody knows
    clock[0] += 600
    told.begin(2)
    told("training")  # B as long as A: B, A again, B again
    assert said[-1] == "Table I, run 3 of 5: B ×4, seed 0: training; about 30.0 min left in all"
    clock[0] += 300
    told("step 1")
    assert said[-1].endswith("step 1; about 25.0 min left in all")
    clock[0] += 900
    told.begin(3)  # A took 10 minutes, B 20
    told("training")
    assert said[-1].endswith("seed 1: training; about 30.0 min left in all")
    done.add("B ×4, seed 1")
    told("training")
    assert said[-1].endswith("about 10.0 min left in all")
    clock[0] += 590
    told("step 2")
    assert said[-1].endswith("about a minute left in all")


def test_a_budget_of_time_is_known_from_the_start(clock: list[float]) -> None:
    said: list[str] = []
    told = Course("Table I", places()[1:], lambda _: True, said.append, expected=3600)
    told.begin(0)
    told("training")
    assert said == ["Table I, run 1 of 4: A ×4, seed 0: training; about 4.0 h left in all"]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Table II's last row, which Table III has, too; one step."""
    root = tmp_path / "data"
    (root / "blocks").mkdir(parents=True)
    (root / "sources.yaml").write_text(
        '- {name: blocks, folder: blocks, licence: CC0-1.0, held_out: ["0*"]}\n'
    )
    for number in range(2):
        Image.fromarray(tiles(number, 128)).save(root / "blocks" / f"{number}.png")
    return _of_one_row("table2", root, tmp_path / "out")


def _of_one_row(key: str, data: Path, output: Path) -> Plan:
    table = TABLES[key]
    row = next(row for row in table.rows(2, "bicubic") if row.name == table.compared)
    return Plan(replace(table, rows=lambda *_: (row,)), data, output, Budget(steps=2))


def test_the_folder_of_a_run_says_which_rows_it_serves(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_SECONDS_BETWEEN_WORDS", 0)
    said: list[str] = []
    Driver(plan, CancelToken(), said.append).run()
    begin = "Table II, run 1 of 1: + WR: CWT-Net ×2, seed 0: "
    assert said[0] == f"{begin}training, 2 steps"
    assert said[1].startswith(f"{begin}step 1 of 2, 0.")
    assert said[1].endswith(" min left of this run")
    (folder,) = (plan.output / "runs").iterdir()
    assert (folder / ROWS).read_text(encoding="utf-8") == ("Table II: + WR: CWT-Net ×2, seed 0\n")
    # as a folder from before there was such a file: found again, and told
    (folder / ROWS).unlink()
    before = (folder / "run.json").stat().st_mtime_ns
    for key in ("table2", "table3"):
        Driver(_of_one_row(key, plan.data, plan.output), CancelToken(), print).run()
    assert (folder / "run.json").stat().st_mtime_ns == before
    assert [path.name for path in (plan.output / "runs").iterdir()] == [folder.name]
    assert (folder / ROWS).read_text(encoding="utf-8").splitlines() == [
        "Table II: + WR: CWT-Net ×2, seed 0",
        "Table III: WR (CWT-Net) ×2, seed 0",
    ]
    told = json.loads((plan.output / "table3.json").read_text(encoding="utf-8"))
    assert folder.name.endswith(told["rows"][0]["hashes"][0])


def test_a_file_of_rows_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / ROWS).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OutputError, match=r"rows\.txt cannot be read; delete it"):
        note_row(tmp_path, "Table I")
