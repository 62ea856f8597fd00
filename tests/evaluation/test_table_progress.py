"""What a user reads while a table is done, and finds in the folders of its runs."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from training.conftest import tiles

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.evaluation.reproduce import TABLES, Driver, TablePlan, runs
from napari_cwtnet.evaluation.reproduce.experiment import Budget, Row
from napari_cwtnet.evaluation.reproduce.report import ROWS, note_row
from napari_cwtnet.evaluation.reproduce.runs import Place, TableProgress, Training


def places() -> list[Place]:
    plain = Row("bicubic", "bicubic")
    rows = [Row("A", "single-image", {}), Row("B", "single-image", {})]
    return [Place(plain, 4, 0), *(Place(row, 4, seed) for seed in (0, 1) for row in rows)]


class Told:
    """Progress of a table, what it has said last, and how long the trainings took that are done."""

    def __init__(self, places: list[Place], expected: float | None = None) -> None:
        self.took: dict[str, float] = {}
        self.said: list[str] = []
        self.progress = TableProgress("Table I", places, self._training, self.said.append, expected)

    def _training(self, place: Place) -> Training | None:
        folder = str(place).replace("again", "A")
        return None if place.row.changes is None else Training(folder, self.took.get(folder))

    def at(self, number: int, words: str, own_left: float | None = None) -> str:
        self.progress.begin(number)
        self.progress(words, own_left)
        return self.said[-1]


def test_time_left_is_that_of_the_same_row_or_else_of_all() -> None:
    told = Told(places())
    assert told.at(0, "testing") == "Table I, run 1 of 5: bicubic ×4: testing"
    # how long a training takes, nobody knows
    assert told.at(1, "training") == "Table I, run 2 of 5: A ×4, seed 0: training"
    assert told.at(1, "step 1", 60) == "Table I, run 2 of 5: A ×4, seed 0: step 1"
    told.took["A ×4, seed 0"] = 600
    begin = "Table I, run 3 of 5: B ×4, seed 0: "
    # B as long as A: B, A again, B again
    assert told.at(2, "training") == f"{begin}training; about 30.0 min of training left in all"
    assert told.at(2, "step 1", 300) == f"{begin}step 1; about 25.0 min of training left in all"
    told.took["B ×4, seed 0"] = 1200
    assert told.at(3, "training").endswith(
        "seed 1: training; about 30.0 min of training left in all"
    )
    told.took["B ×4, seed 1"] = 1200  # by another table, say
    assert told.at(3, "training").endswith("about 10.0 min of training left in all")
    assert told.at(3, "step 2", 10).endswith("about 10 s of training left in all")
    assert told.at(3, "step 2", 9.2).endswith("about 10 s of training left in all")
    assert told.at(3, "step 3", 0.3).endswith("about 1 s of training left in all")
    assert told.at(3, "step 1", 90).endswith("about 1.5 min of training left in all")
    told.took["A ×4, seed 1"] = 600
    assert told.at(4, "testing") == "Table I, run 5 of 5: B ×4, seed 1: testing"


def test_a_training_that_serves_several_rows_is_counted_once() -> None:
    rows = [Row(name, "single-image", {}) for name in ("A", "again", "B")]
    told = Told([Place(row, 4, 0) for row in rows], expected=600)
    assert told.at(0, "training").endswith("about 20.0 min of training left in all")


def test_a_training_that_broke_down_is_not_to_come() -> None:
    told = Told(places()[1:], expected=600)
    assert told.at(3, "training").endswith("about 10.0 min of training left in all")


def test_a_budget_of_time_is_known_from_the_start() -> None:
    told = Told(places()[1:], expected=3600)
    begin = "Table I, run 1 of 4: A ×4, seed 0: training; "
    assert told.at(0, "training") == f"{begin}about 4.0 h of training left in all"


@pytest.fixture
def plan(tmp_path: Path) -> TablePlan:
    """Table II's last row, which Table III has, too; one step."""
    root = tmp_path / "data"
    (root / "blocks").mkdir(parents=True)
    (root / "sources.yaml").write_text(
        '- {name: blocks, folder: blocks, licence: CC0-1.0, held_out: ["0*"]}\n'
    )
    for number in range(2):
        Image.fromarray(tiles(number, 128)).save(root / "blocks" / f"{number}.png")
    return _of_one_row("table2", root, tmp_path / "out")


def _of_one_row(key: str, data: Path, output: Path) -> TablePlan:
    table = TABLES[key]
    row = next(row for row in table.rows(2, "bicubic") if row.name == table.compared)
    return TablePlan(replace(table, rows=lambda *_: (row,)), data, output, Budget(steps=2))


def test_the_folder_of_a_run_says_which_rows_it_serves(
    plan: TablePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_SECONDS_BETWEEN_WORDS", 0)
    said: list[str] = []
    Driver(plan, CancelToken(), said.append).run()
    begin = "Table II, run 1 of 1: + WR: CWT-Net ×2, seed 0: "
    assert said[0] == f"{begin}training, 2 steps"
    assert re.fullmatch(rf"{re.escape(begin)}step 1 of 2, \d+ s left of this run", said[1])
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


def test_what_a_user_wrote_among_the_rows_stays_as_it_is(tmp_path: Path) -> None:
    note_row(tmp_path, "Table I: α")
    with (tmp_path / ROWS).open("ab") as file:
        file.write("für später\n".encode("latin-1"))
    for words in ("Table I: α", "Table II: β"):
        note_row(tmp_path, words)
    told = "Table I: α\n".encode() + "für später\n".encode("latin-1") + "Table II: β\n".encode()
    assert (tmp_path / ROWS).read_bytes() == told


def test_files_are_read_once_for_all_rows_and_again_when_they_have_changed(
    plan: TablePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    digest = hashlib.file_digest

    def noted(file: Any, name: str) -> Any:
        read.append(Path(file.name).name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", noted)
    row = plan.table.rows(2, "bicubic")[0]
    planned = [Driver(plan, CancelToken(), print).planned(row, 2, seed) for seed in (0, 1)]
    assert sorted(read) == ["0.png", "1.png"]
    Image.fromarray(tiles(7, 128)).save(plan.data / "blocks/1.png")
    assert Driver(plan, CancelToken(), print).planned(row, 2, 0).data != planned[0].data
    assert sorted(read) == ["0.png", "1.png", "1.png"]
