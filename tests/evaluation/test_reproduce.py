"""A table done from its first pixel to its files, with networks of full size and few steps."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training.conftest import tiles

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import CancelledError, OutputError, RequestError, TrainingError
from napari_cwtnet.evaluation.reproduce import (
    TABLES,
    Driver,
    TablePlan,
    experiment,
    pictures,
    read_budget,
    runs,
    write_page,
)
from napari_cwtnet.evaluation.reproduce.data import crops, fields_to_test, sources_of
from napari_cwtnet.evaluation.reproduce.experiment import Budget, Row
from napari_cwtnet.evaluation.reproduce.report import markdown, verdict
from napari_cwtnet.evaluation.reproduce.results import (
    Cell,
    FieldFigures,
    image_name,
    image_of,
    measured,
    summarise,
)
from napari_cwtnet.evaluation.reproduce.runs import RunRecord, plan_run
from napari_cwtnet.metrics import psnr
from napari_cwtnet.model import CwtNet, load_model, preset
from napari_cwtnet.slides.degradation import Degradation
from napari_cwtnet.slides.degrade import degrade
from napari_cwtnet.training.fields import Field, shrink

SOURCES = """
- {name: blocks, folder: blocks, licence: CC0-1.0, held_out: ["0*"]}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    (root / "blocks").mkdir()
    (root / "sources.yaml").write_text(SOURCES)
    for number in range(3):
        Image.fromarray(tiles(number, 128)).save(root / "blocks" / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def done(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TablePlan, list[str]]:
    """Table III after two steps of each network: the one with oracles."""
    output = tmp_path_factory.mktemp("output")
    plan = TablePlan(TABLES["table3"].in_dtype("float32"), data, output, Budget(steps=2))
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "_SECONDS_BETWEEN_WORDS", 9999.0)  # no words in between, however slow
        Driver(plan, CancelToken(), said.append).run()
    return plan, said


def test_every_row_is_trained_and_tested_once(done: tuple[TablePlan, list[str]]) -> None:
    plan, said = done
    names = [row.name for row in plan.table.rows(2, "bicubic")]
    whats = ("training, 2 steps", "testing")
    assert [words.split("; about")[0] for words in said] == [
        f"Table III, run {number} of 4: {name} ×2, seed 0: {what}"
        for number, name in enumerate(names, start=1)
        for what in whats
    ]
    assert "left in all" not in said[0]
    assert said[2].endswith(" of training left in all")
    again: list[str] = []
    cells = Driver(plan, CancelToken(), again.append).run()
    assert again == []
    assert len(cells) == 4
    for cell in cells:
        assert cell.run is not None
        assert cell.run.steps == 2
        assert cell.run.cpu_seconds > 0
        assert len(cell.tested.psnr) == len(cell.tested.fields) == 1


def test_figures_are_those_of_the_weights_that_were_kept(done: tuple[TablePlan, list[str]]) -> None:
    plan, _ = done
    driver = Driver(plan, CancelToken(), print)
    row = next(r for r in plan.table.rows(2, "bicubic") if r.name == plan.table.compared)
    run = driver.planned(row, 2, 0)
    told = load_model(plan.output / "runs" / run.folder / "final.safetensors")
    field = driver.fields(2)[0][0]
    image = image_of(row, told.network, field, 2)
    rows = json.loads((plan.output / "table3.json").read_text())["rows"]
    line = next(r for r in rows if r["row"]["name"] == row.name)
    assert line["psnr"]["mean"] == pytest.approx(psnr(image, field.truth, 2), abs=1e-9)
    assert line["parameters"] == told.network.parameter_count()
    assert line["hashes"] == [run.hash]


def test_oracles_are_marked_wherever_they_appear(done: tuple[TablePlan, list[str]]) -> None:
    plan, _ = done
    lines = (plan.output / "table3.md").read_text().splitlines()
    marked = [line for line in lines if line.startswith("| ORACLE: ")]
    assert [line.split(" | ")[0] for line in marked] == [
        "| ORACLE: I_GT",
        "| ORACLE: I_GT down and up",
    ]
    with (plan.output / "table3.csv").open(newline="") as file:
        told = {row["row"]: row["oracle"] for row in csv.DictReader(file)}
    assert told["I_GT"] == "True"
    assert told["WR (CWT-Net)"] == "False"
    assert (plan.output / "pictures" / "table3-x2-1.jpg").exists()


def test_the_page_holds_table_and_pictures(
    done: tuple[TablePlan, list[str]], tmp_path: Path
) -> None:
    plan, _ = done
    (tmp_path / "remarks.md").write_text("# Remarks\n")
    page, *files = write_page([plan.output], tmp_path)
    text = page.read_text()
    assert "## Table III" in text
    assert "×2: WR (CWT-Net) is number" in text
    assert "(remarks.md)" in text
    assert "Fields in the pictures: 2 by chance (seed 0) from those" in text
    assert all(path.exists() for path in files)
    with Image.open(tmp_path / "pictures" / "table3-x2-1.jpg") as sheet:
        assert sheet.width > 6 * 2 * 112
    write_page([plan.output, plan.output], tmp_path)
    assert page.read_text().count("## Table III") == 2
    assert (tmp_path / "table3-2.csv").exists()
    with pytest.raises(RequestError, match="holds no table"):
        write_page([tmp_path / "pictures"], tmp_path)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "table3.json").write_text("{")
    with pytest.raises(RequestError, match=r"table3.json or its .md cannot be read"):
        write_page([tmp_path / "torn"], tmp_path)


def test_strips_of_a_scale_that_the_table_has_not_stay_away(
    done: tuple[TablePlan, list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    (folder / "pictures").mkdir(parents=True)
    for path in done[0].output.glob("table3.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    for name in ("table3-x2-1.jpg", "table3-x4-1.jpg"):  # the other is of an earlier call
        Image.new("RGB", (4, 4)).save(folder / "pictures" / name)
    files = {path.name for path in write_page([folder], tmp_path / "page")}
    assert "table3-x2-1.jpg" in files
    assert "table3-x4-1.jpg" not in files


def test_ctrl_c_is_heeded_while_testing(done: tuple[TablePlan, list[str]]) -> None:
    plan, _ = done
    fields = Driver(plan, CancelToken(), print).fields(2)[0]
    cancel = CancelToken()
    cancel.cancel("enough")
    with pytest.raises(CancelledError, match="enough"):
        measured(Row("bicubic", "bicubic"), None, fields, 2, cancel=cancel)


def test_a_budget_of_time_is_kept_and_its_steps_are_told(data: Path, tmp_path: Path) -> None:
    table = TABLES["table2"]
    first = table.rows(2, "bicubic")[0]
    own = replace(table, rows=lambda *_: (first,), compared=first.name)
    (cell,) = Driver(
        TablePlan(own, data, tmp_path, Budget(minutes=0.02)), CancelToken(), lambda _: None
    ).run()
    assert cell.run is not None
    assert cell.run.steps >= 1
    assert 1.2 <= cell.run.seconds < 60
    text = (tmp_path / "table2.md").read_text()
    assert f"as many as each made in that time, {cell.run.steps} to {cell.run.steps}" in text


def test_what_is_wrong_with_data_or_folder_leaves_nothing_behind(
    data: Path, tmp_path: Path
) -> None:
    plan = TablePlan(TABLES["table2"], tmp_path / "nowhere", tmp_path / "out", Budget(steps=1))
    with pytest.raises(RequestError, match="nowhere does not exist; check --data"):
        Driver(plan, CancelToken(), print).run()
    assert not plan.output.exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot be made: .*; choose another --output"):
        Driver(replace(plan, data=data, output=tmp_path / "file"), CancelToken(), print).run()


def test_a_run_that_was_interrupted_goes_on(data: Path, tmp_path: Path) -> None:
    plan = TablePlan(TABLES["table2"].in_dtype("float32"), data, tmp_path, Budget(steps=1))
    cancel = CancelToken()
    said: list[str] = []

    def stop_at_the_second(words: str) -> None:
        said.append(words)
        if len(said) == 3:
            cancel.cancel("enough")

    with pytest.raises(CancelledError, match="resumes this run"):
        Driver(plan, cancel, stop_at_the_second).run()
    assert len(json.loads((tmp_path / "table2.json").read_text())["rows"]) == 1
    assert "Not all is done yet: 1 of 4 rows" in (tmp_path / "table2.md").read_text()
    records = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/run.json")}
    assert len(records) == 1
    Driver(plan, CancelToken(), said.append).run()
    assert len(list(tmp_path.glob("runs/*/run.json"))) == 4
    assert "Not all is done yet" not in (tmp_path / "table2.md").read_text()
    assert {path: path.stat().st_mtime_ns for path in records} == records


def test_a_row_that_breaks_down_leaves_the_others_alone(data: Path, tmp_path: Path) -> None:
    table = TABLES["table2"].in_dtype("float32")
    first, second, *_ = table.rows(2, "bicubic")
    wild = replace(first, changes=dict(first.changes or {}) | {"learning_rate": 1e30})
    plan = TablePlan(
        replace(table, rows=lambda *_: (wild, second)), data, tmp_path, Budget(steps=2)
    )
    with pytest.raises(TrainingError, match="failed for SR branch alone ×2, seed 0; all other"):
        Driver(plan, CancelToken(), print).run()
    text = (tmp_path / "table2.md").read_text()
    assert "Training failed: SR branch alone ×2, seed 0." in text
    assert f"| {second.name} |" in text


def test_the_same_training_in_two_tables_is_one_run(data: Path) -> None:
    def ours(key: str) -> str:
        table = TABLES[key]
        row = next(r for r in table.rows(2, "bicubic") if r.name == table.compared)
        budget = Budget(steps=5)
        run = plan_run(table, row, scale=2, seed=0, budget=budget, data=data, degradation="bicubic")
        return run.folder

    assert ours("table2") == ours("table3") == ours("table4")
    assert ours("table2") != ours("table5")


def test_fields_of_one_slide_are_of_one_image() -> None:
    assert image_name("a.svs at 1: 20,30,188,188 0,0") == image_name("a.svs at 2: 0,0,9,9 0,1")
    assert image_name("a 1.png 0,0") == image_name("a 1.png 0,1") == "a 1.png"


def test_sources_that_hold_nothing_out_are_refused_by_file(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text("- {name: a, folder: a, licence: CC0-1.0}\n")
    with pytest.raises(RequestError, match=r"No source in .*sources\.yaml keeps images"):
        sources_of(tmp_path, "bicubic", 2)


def test_a_learning_rate_is_that_of_every_row(data: Path) -> None:
    budget, table = Budget(steps=5), TABLES["table1"]
    for row in table.at_rate(2e-3).rows(2, "bicubic"):
        if row.changes is None:
            continue
        runs = [
            plan_run(one, row, scale=2, seed=0, budget=budget, data=data, degradation="bicubic")
            for one in (table, table.at_rate(2e-3))
        ]
        assert [run.recipe.learning_rate for run in runs] == [1e-3, 2e-3]
        assert runs[0].hash != runs[1].hash


def test_a_precision_is_that_of_every_row(data: Path) -> None:
    table = TABLES["table1"]
    for row in table.rows(2, "scanner"):
        if row.changes is None:
            continue
        chosen = table.in_dtype("float32")
        run = plan_run(
            chosen, row, scale=2, seed=0, budget=Budget(steps=5), data=data, degradation="scanner"
        )
        assert run.recipe.dtype == "float32"


def test_other_pixels_are_another_run(data: Path, tmp_path: Path) -> None:
    row = TABLES["table2"].rows(2, "bicubic")[0]

    def hash_of(root: Path) -> str:
        return plan_run(
            TABLES["table2"],
            row,
            scale=2,
            seed=0,
            budget=Budget(steps=5),
            data=root,
            degradation="bicubic",
        ).hash

    (tmp_path / "blocks").mkdir()
    (tmp_path / "sources.yaml").write_text(SOURCES)
    for path in (data / "blocks").iterdir():
        (tmp_path / "blocks" / path.name).write_bytes(path.read_bytes())
    assert hash_of(tmp_path) == hash_of(data)
    Image.fromarray(tiles(9, 128)).save(tmp_path / "blocks" / "1.png")
    assert hash_of(tmp_path) != hash_of(data)


def field_of(scale: int, side: int = 96) -> Field:
    truth = np.asarray(Image.fromarray(tiles(3, side)).resize((side, side)))
    return Field("field.png", shrink(truth, scale), shrink(truth, scale // 2), truth)


def test_a_reference_at_x2_is_refused_but_for_an_oracle() -> None:
    network = CwtNet(preset("lite", 2, blocks=1, channels=8)).eval()
    with pytest.raises(RequestError, match="the answer itself"):
        image_of(Row("wrong", "cross-scale", {}), network, field_of(2), 2)
    oracle = image_of(Row("right", "oracle", {}), network, field_of(2), 2)
    assert np.array_equal(oracle, field_of(2).truth)  # untrained, it gives its finest input back


def test_half_the_scale_on_the_reference_sees_the_reference() -> None:
    network = CwtNet(preset("lite", 2, blocks=1, channels=8)).eval()
    field = field_of(4)
    row = Row("half", "half the scale, on the reference", {})
    made = image_of(row, network, field, 4)
    bicubic = image_of(Row("plain", "bicubic of the reference"), None, field, 4)
    assert np.array_equal(made, bicubic)  # untrained, it is bicubic
    assert not np.array_equal(made, image_of(Row("lr", "bicubic"), None, field, 4))


def test_strips_with_the_reference_are_pictures_of_their_own(data: Path, tmp_path: Path) -> None:
    table = TABLES["table1"]
    names = ("bicubic", "bicubic ×2 of the reference")
    rows = tuple(row for row in table.rows(4, "bicubic") if row.name in names)
    first = next(row for row in table.rows(4, "bicubic") if row.name == "SRCNN")
    own = replace(table, rows=lambda *_: (*rows, first))
    plan = TablePlan(own, data, tmp_path / "out", Budget(steps=1), scales=(4,))
    Driver(plan, CancelToken(), lambda _: None).run()
    names_of = {path.name for path in (tmp_path / "out" / "pictures").iterdir()}
    assert names_of == {"table1-x4-1.jpg", "table1-x4-1-given-the-reference.jpg"}
    with Image.open(tmp_path / "out" / "pictures" / "table1-x4-1-given-the-reference.jpg") as sheet:
        assert sheet.width > 4 * 2 * 112  # LR, reference, its enlargement, truth
        assert sheet.width < 5 * 2 * 112


def test_one_image_is_no_evidence_of_a_difference() -> None:
    table = TABLES["table1"]
    rows = {row.name: row for row in table.rows(2, "bicubic")}
    record = RunRecord("h", "d", "5", 5, 1.0, 1.0, 10, {}, "")
    cells = [
        Cell(rows[name], 2, 0, FieldFigures(["a 0,0", "a 0,1"], [psnr, psnr], [0.9, 0.9], 1), run)
        for name, psnr, run in (("EDSR", 31.0, record), ("CWT-Net", 30.0, record))
    ]
    lines = summarise(cells, table)
    assert (lines[0].lead, lines[0].lead_interval) == (1.0, None)
    assert any("| +1.00 (too few images) |" in line for line in markdown(table, lines, {}))
    told = {"compared": table.compared, "rows": [asdict(line) for line in lines]}
    (words,) = verdict(told)
    assert "number 2 of 2" in words
    assert "not significant with so few images" in words


def test_a_network_below_bicubic_was_trained_too_little() -> None:
    table = TABLES["table1"]
    rows = {row.name: row for row in table.rows(2, "bicubic")}
    record = RunRecord("h", "d", "5", 5, 1.0, 1.0, 10, {}, "")
    cells = [
        Cell(rows[name], 2, 0, FieldFigures(["a 0,0"], [psnr], [0.9], 1), run)
        for name, psnr, run in (("bicubic", 31.0, None), ("CWT-Net", 30.0, record))
    ]
    rows_told = [asdict(line) for line in summarise(cells, table)]
    words = list(verdict({"compared": table.compared, "rows": rows_told}))
    assert words[0] == "×2: CWT-Net is below bicubic: trained too little.\n"


def test_test_fields_are_held_out_and_in_place(data: Path) -> None:
    table = TABLES["table1"]
    row = next(r for r in table.rows(4, "bicubic") if r.changes is not None)
    recipe = plan_run(
        table, row, scale=4, seed=0, budget=Budget(steps=1), data=data, degradation="bicubic"
    ).recipe
    fields = fields_to_test(recipe, data, 64, 4)
    assert [field.name for field in fields] == [f"0.png {r},{c}" for r in (0, 1) for c in (0, 1)]
    assert np.array_equal(fields[3].truth, tiles(0, 128)[64:, 64:])
    assert np.array_equal(fields[1].lr, shrink(tiles(0, 128), 4)[:16, 16:])
    assert len(crops(fields, 4, 48, 1)) == 4
    with pytest.raises(RequestError, match="44 pixels"):
        crops(fields, 4, 40, 1)


def test_budgets_and_data_that_are_none(tmp_path: Path) -> None:
    assert read_budget("2.5m") == Budget(minutes=2.5)
    for wrong in ("0", "-3m", "nanm", "soon", ""):
        with pytest.raises(RequestError, match="neither steps"):
            read_budget(wrong)
    with pytest.raises(RequestError, match="does not exist"):
        sources_of(tmp_path / "nowhere", "bicubic", 2)
    with pytest.raises(RequestError, match="none of the tables' own sources"):
        sources_of(tmp_path, "bicubic", 2)
    with pytest.raises(RequestError, match="no slide that stores levels"):
        sources_of(tmp_path, "levels", 2)
    (tmp_path / "sources.yaml").write_text("- {name: x}\n")
    with pytest.raises(RequestError, match=r"sources\.yaml, entry 1 \('x'\): folder: missing"):
        sources_of(tmp_path, "bicubic", 2)


def test_rows_with_the_reference_are_held_against_one_another() -> None:
    table = TABLES["table1"]
    figures = {"CWT-Net": 26.0, "CWT-Net, cross-scale": 33.0, "bicubic ×2 of the reference": 31.0}
    rows = {row.name: row for row in table.rows(4, "bicubic")}
    cells = [
        Cell(rows[name], 4, 0, FieldFigures(["a 0,0", "b 0,0"], [psnr, psnr + 1], [0.9, 0.9], 1.0))
        for name, psnr in figures.items()
    ]
    lines = {line.row.name: line for line in summarise(cells, table)}
    assert lines["bicubic ×2 of the reference"].lead == pytest.approx(-2.0)
    assert lines["bicubic ×2 of the reference"].ahead == 0
    assert lines["CWT-Net, cross-scale"].lead is None
    assert rows["CWT-Net"].paper is None  # the paper's is given the reference
    assert rows["CWT-Net, cross-scale"].paper is not None
    text = list(markdown(table, list(lines.values()), {}))
    assert sum("above CWT-Net, cross-scale, dB" in line for line in text) == 1
    assert sum("above CWT-Net, dB" in line for line in text) == 1


def test_scanner_trains_and_tests_on_lr_as_scanners_make_it(data: Path, tmp_path: Path) -> None:
    table = replace(TABLES["table1"].in_dtype("float32"), rows=_first_and_knowing)
    plan = TablePlan(table, data, tmp_path, Budget(steps=2), degradation="scanner")
    cells = Driver(plan, CancelToken(), lambda _: None).run()
    driver = Driver(plan, CancelToken(), print)
    (field,) = driver.fields(2)[0]
    with Image.open(data / "blocks" / "0.png") as picture:
        truth = np.asarray(picture.convert("RGB"))
    made = Degradation.parse("box+jpeg75-420")
    assert np.array_equal(field.lr, degrade(truth, made, 2, random=np.random.default_rng(0)))
    assert not np.array_equal(field.lr, shrink(truth, 2))
    assert field.known == (made.without("noise"),) * 2
    assert cells[0].tested.psnr == [psnr(image_of(cells[0].row, None, field, 2), truth, 2)]
    recipe = driver.planned(cells[1].row, 2, 0).recipe
    assert recipe.degradation is not None
    assert recipe.degradation.validation == ("box+jpeg75-420",)
    assert recipe.degradation.scale_jitter == recipe.degradation.colour_jitter == 0
    network = load_model(next(tmp_path.glob("runs/*/final.safetensors"))).network
    assert network.takes_degradation
    text = (tmp_path / "table1.md").read_text()
    assert "(2 steps a network, LR as a scanner makes it: 2×2 mean, JPEG 75)" in text
    assert all(cell.row.paper is None for cell in cells)  # the paper has none of such LR


def _first_and_knowing(scale: int, degradation: experiment.Degradation) -> tuple[Row, ...]:
    rows = TABLES["table1"].rows(scale, degradation)
    return tuple(row for row in rows if row.name.startswith(("bicubic", "CWT-Net that knows")))


def test_only_scanner_has_rows_that_know_the_degradation() -> None:
    for scale in (2, 4):
        clean, scanner = (
            {row.name for row in TABLES["table1"].rows(scale, made)}
            for made in ("bicubic", "scanner")
        )
        knowing = {"CWT-Net that knows the degradation"}
        knowing |= {"CWT-Net that knows the degradation, cross-scale"} if scale > 2 else set()
        assert scanner - clean == knowing
        assert not clean - scanner


def test_captions_have_letters_that_the_font_of_sheets_has() -> None:
    names = {row.name for table in TABLES.values() for row in table.rows(2, "bicubic")}
    assert any("λ" in name for name in names)
    assert all(name.translate(pictures._CAPTIONS).isascii() for name in names)
