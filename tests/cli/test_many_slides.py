"""A command over many slides: a table of what was done, what failed and why."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from cli.conftest import Run
from cli.test_refusals import refused
from napari_cwtnet import __version__
from napari_cwtnet.model import CwtNet, preset, save_weights
from napari_cwtnet.slides import open_slide

COARSER = ("resample", "--mpp", "1.0")


@pytest.fixture
def folder(tmp_path: Path, slide_file: Path) -> Path:
    """Two slides, one that is broken between them, and what is no slide."""
    folder = tmp_path / "slides"
    folder.mkdir()
    for name in ("a.ome.tif", "c.ome.tif"):
        shutil.copy(slide_file, folder / name)
    (folder / "b.svs").write_bytes(b"no slide")
    (folder / "notes.txt").write_text("of the scanner")
    (folder / ".hidden.svs").write_bytes(b"")
    (folder / "pictures").mkdir()
    return folder


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_failed_slide_does_not_stop_the_rest(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(*COARSER, "--slides", folder, "--output", out, "--json")
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert said == {
        "table": str(out / "slides.csv"), "slides": 3, "done": 2, "done_before": 0, "failed": 1,
    }  # fmt: skip
    a, b, c = rows(out / "slides.csv")
    assert [Path(row["slide"]).name for row in (a, b, c)] == ["a.ome.tif", "b.svs", "c.ome.tif"]
    assert [row["state"] for row in (a, b, c)] == ["done", "failed", "done"]
    assert "b.svs" in b["why"]
    assert b["why"] in done.stderr
    assert (a["why"], a["mpp"]) == ("", "1")
    assert [Path(row["output"]).exists() for row in (a, b, c)] == [True, False, True]
    with open_slide(c["output"]) as made:
        assert made.mpp == pytest.approx(1.0)
        assert (made.size.width, made.size.height) == (182, 129)


def test_done_slides_are_kept_and_the_rest_is_tried_again(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = (*COARSER, "--slides", folder, "--output", out, "--ending", ".ome.zarr", "--json")
    run(*words)
    first = (out / "a.ome.zarr").stat().st_mtime_ns
    shutil.rmtree(out / "c.ome.zarr")
    shutil.copy(folder / "a.ome.tif", folder / "b.svs")
    done = run(*words)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["done"], said["done_before"], said["failed"]) == (2, 1, 0)
    assert (out / "a.ome.zarr").stat().st_mtime_ns == first
    assert [row["state"] for row in rows(out / "slides.csv")] == ["done"] * 3
    again = json.loads(run(*words[:2], "0.5", *words[3:]).stdout)
    assert (again["done"], again["done_before"]) == (3, 0)  # of other settings
    with open_slide(out / "a.ome.zarr") as made:
        assert made.mpp == pytest.approx(0.5)


def test_parts_of_a_list_have_tables_of_their_own(run: Run, folder: Path, tmp_path: Path) -> None:
    listed = folder / "list.txt"
    listed.write_text("# of Monday\na.ome.tif\n\nb.svs\nc.ome.tif\n")
    out = tmp_path / "out"
    words = (*COARSER, "--slides", listed, "--output", out, "--part")
    assert run(*words, "1/2").returncode == 0
    assert run(*words, "2/2").returncode == 1
    tables = [rows(out / f"slides-{k}-of-2.csv") for k in (1, 2)]
    names = [[Path(row["slide"]).name for row in table] for table in tables]
    assert names == [["a.ome.tif", "c.ome.tif"], ["b.svs"]]


def test_enhance_writes_a_file_for_each(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "b.svs").unlink()
    out = tmp_path / "out"
    words = ("enhance", "--region", "0,0,200,160", "--model", "small-x2", "--device", "cpu")
    done = run(*words, "--slides", folder, "--output", out)
    assert done.returncode == 0, done.stderr
    for row in rows(out / "slides.csv"):
        assert row["badge"].startswith("COMPUTED · 80× from 40×")
        with open_slide(row["output"]) as made:
            assert (made.size.width, made.size.height) == (400, 320)
            assert made.computed


def test_check_puts_its_figures_into_the_table(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "b.svs").unlink()
    words = ("check", "--model", "small-x2", "--region", "0,0,256,200", "--device", "cpu")
    out = tmp_path / "out"
    assert run(*words, "--slides", folder, "--output", out).returncode == 0
    one = json.loads(run(*words, folder / "a.ome.tif", "--json").stdout)
    for row in rows(out / "slides.csv"):
        assert float(row["psnr"]) == pytest.approx(one["psnr"], rel=1e-4)
        assert row["output"] == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*COARSER, "--output", "out"), ("either a slide, or --slides",)),
        ((*COARSER, "{a}", "--slides", "{folder}", "--output", "out"), ("either a slide",)),
        ((*COARSER, "{a}", "--part", "1/2", "--output", "o.ome.tif"), ("--part is for --slides",)),
        ((*COARSER, "--slides", "{a}", "--output", "out"), ("neither a folder nor a text file",)),
        ((*COARSER, "--slides", "{folder}/pictures", "--output", "out"), ("names no slides",)),
        (
            (*COARSER, "--slides", "{folder}", "--part", "3/2", "--output", "out"),
            ("K from 1 to N",),
        ),
        (("check", "--model", "small-x2", "--slides", "{folder}"), ("wants --output",)),
        (("check", "--model", "small-x2", "{a}", "--output", "out"), ("leave it out",)),
    ],
)
def test_words_that_make_no_sense(
    run: Run, folder: Path, words: tuple[str, ...], said: tuple[str, ...]
) -> None:
    filled = [word.format(a=folder / "a.ome.tif", folder=folder) for word in words]
    refused(run(*filled), *said)


def test_two_slides_of_one_name_are_refused(run: Run, folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "a.ome.tif", folder / "A.svs")
    refused(run(*COARSER, "--slides", folder, "--output", tmp_path / "out"), "one name")


def test_dicom_folders_named_by_uid_have_results_of_their_own(
    run: Run, data_dir: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "slides", tmp_path / "out"
    for name in ("1.2.840.1", "1.2.840.2"):
        shutil.copytree(data_dir / "slides" / "cmu1_small_dicom", folder / name)
    done = run("resample", "--mpp", "8", "--slides", folder, "--output", out)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in sorted(out.glob("*.ome.tif"))] == [
        "1.2.840.1.ome.tif", "1.2.840.2.ome.tif",
    ]  # fmt: skip


def test_check_takes_two_slides_of_one_name(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "b.svs").unlink()
    shutil.copy(folder / "a.ome.tif", folder / "A.tif")
    words = ("check", "--model", "small-x2", "--region", "0,0,256,200", "--device", "cpu")
    done = run(*words, "--slides", folder, "--output", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["done"] == 3


def test_a_slide_or_model_that_changed_is_done_again(
    run: Run, folder: Path, models: Path, tmp_path: Path
) -> None:
    (folder / "b.svs").unlink()
    out, model = tmp_path / "out", tmp_path / "own.safetensors"
    shutil.copy(models / "small-x2.safetensors", model)
    words = ("enhance", "--region", "0,0,200,160", "--device", "cpu", "--json", "--model", model)
    words = (*words, "--slides", folder, "--output", out)

    def counts() -> tuple[int, int]:
        done = run(*words)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        return said["done"], said["done_before"]

    assert counts() == (2, 0)
    assert counts() == (0, 2)
    os.utime(folder / "a.ome.tif", (1, 1))
    assert counts() == (1, 1)
    network = CwtNet(preset("lite", 2, blocks=1, channels=8, tile=64, halo=8))
    save_weights(model, network, {"of": "Tuesday"})
    assert counts() == (2, 0)
    for row in rows(out / "slides.csv"):
        sha256 = json.loads(Path(f"{row['output']}.json").read_text())["model_sha256"]
        assert sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
        assert f"version={__version__} " in f"{row['settings']} "


@pytest.mark.parametrize(
    "content", [b"slide\xff", b"slide,state,why,seconds,output,settings\n" + b"x" * 200_000]
)
def test_a_damaged_table_is_one_line(
    run: Run, folder: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "slides.csv").write_bytes(content)
    words = (*COARSER, "--slides", folder, "--output", tmp_path)
    refused(run(*words), "slides.csv cannot be read", "another --output")
    assert (tmp_path / "slides.csv").read_bytes() == content


def test_a_table_of_another_program_is_not_replaced(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "slides.csv").write_text("slide;stain\n")
    refused(run(*COARSER, "--slides", folder, "--output", tmp_path), "not of this program")
    assert (tmp_path / "slides.csv").read_text() == "slide;stain\n"
