"""`reproduce` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from training.conftest import tiles

from cli.conftest import Run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    (root / "blocks").mkdir(parents=True)
    source = '- {name: blocks, folder: blocks, licence: CC0-1.0, held_out: ["0*"]}\n'
    (root / "sources.yaml").write_text(source)
    for number in range(3):
        Image.fromarray(tiles(number, 128)).save(root / "blocks" / f"{number}.png")
    return root


def test_a_table_and_its_page(run: Run, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    options = ("--data", data, "--output", output, "--budget", 2, "--json")
    done = run("reproduce", "table2", "--dtype", "float32", *options)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["cells"] == 4
    assert "Precision of training: float32." in (output / "table2.md").read_text(encoding="utf-8")
    assert [Path(name).name for name in report["files"]] == [
        "table2.md",
        "table2.csv",
        "table2.json",
    ]
    page = run("reproduce", "page", "--from", output, "--output", tmp_path / "page", "--json")
    assert page.returncode == 0, page.stderr
    assert "39.161" in (tmp_path / "page" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("table1", "--budget", "soon"), "Budget 'soon' is neither steps"),
        (("table1", "--seeds", "0"), "--seeds 0: give 1 or more"),
        (("table1", "--scale", "3"), "argument --scale: invalid choice"),
        (("table9",), "invalid choice: 'table9'"),
        (("page", "--from", "."), "holds no table"),
    ],
)
def test_refusals(
    run: Run, data: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    more = () if "page" in words else ("--data", data)
    refused = run("reproduce", *words, *more, "--output", tmp_path / "out")
    assert refused.returncode == 2
    assert message in refused.stderr
    assert not (tmp_path / "out").exists()
