"""Plots and pages that nobody can misread, out of a table that was never trained."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from napari_cwtnet.errors import RequestError
from napari_cwtnet.evaluation.reproduce import TABLES, write_page
from napari_cwtnet.evaluation.reproduce.pictures import (
    AXES,
    SIDE,
    chosen_for_sheets,
    figure_of,
    marks_of,
)

NAMES = [row.name for row in TABLES["table1"].rows(2, "bicubic") if row.changes is not None]


def rows(names: list[str] = NAMES) -> list[dict[str, Any]]:
    """All at nearly the same place, as the best of Table I are; the first is the best."""
    return [
        {
            "row": {"name": name, "test": "single-image"},
            "scale": 2,
            "hashes": [name],
            "psnr": {"mean": 34 - number / 100, "deviation": 0.02},
            "cpu_seconds": 60.0 + number,
            "cpu_seconds_per_megapixel": 2.0,
            "parameters": 500_000 + number,
        }
        for number, name in enumerate(names)
    ]


@pytest.mark.parametrize("what", AXES)
def test_every_mark_is_told_beside_the_plot_in_order_of_psnr(what: str) -> None:
    drawn = rows()
    figure = figure_of(drawn[::-1], what, "title", "CWT-Net")
    (legend,) = figure.legends
    told = [text.get_text() for text in legend.get_texts()]
    assert [words.split(":")[0] for words in told] == NAMES
    assert told[0].startswith(f"{NAMES[0]}: 34.00 dB at ")
    field, _, unit = AXES[what]
    marks = {line.get_label(): line for line in figure.axes[0].lines}
    beside = dict(zip(told, legend.legend_handles, strict=True))
    for row, words in zip(drawn, told, strict=True):
        assert marks[words].get_xydata().tolist() == [[row[field] / unit, row["psnr"]["mean"]]]
        assert beside[words].get_marker() == marks[words].get_marker()
        assert beside[words].get_color() == marks[words].get_color()
    assert len({line.get_marker() for label, line in marks.items() if label in told}) == len(NAMES)
    assert not figure.axes[0].texts  # a name in the plot may stand over another's mark


def test_no_two_rows_have_the_same_marker_or_colour() -> None:
    marks = marks_of(NAMES, "CWT-Net")
    assert len({marker for marker, _ in marks.values()}) == len(NAMES)
    colours = np.array([to_rgb(colour) for _, colour in marks.values()])
    apart = np.abs(colours[:, None] - colours[None]).max(2) + 2 * np.eye(len(NAMES))
    assert apart.min() > 0.2
    fewer = [name for name in NAMES if name != "EDSR"]
    assert marks_of(fewer, "CWT-Net")["CWT-Net"] == marks["CWT-Net"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    told = {"table": "table1", "title": "Table I", "compared": "CWT-Net", "rows": rows()}
    for row in told["rows"]:
        row |= {"lead": 0.0, "lead_interval": None, "seeds": [0]}
    (folder / "table1.json").write_text(json.dumps(told))
    (folder / "table1.md").write_text("## Table I\n")
    (folder / "table1.csv").write_text("row\n")
    return folder


def test_without_matplotlib_nothing_is_written(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RequestError, match=r"Plots need matplotlib; .*pip install matplotlib"):
        write_page([table], tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_a_table_without_plots_needs_no_matplotlib(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for path in table.iterdir():
        text = path.read_text().replace("table1", "table2")
        path.with_name(path.name.replace("table1", "table2")).write_text(text)
        path.unlink()
    assert write_page([table], tmp_path / "page")[0].exists()


def test_a_torn_table_leaves_no_page(table: Path, tmp_path: Path) -> None:
    (table / "table1.md").unlink()
    with pytest.raises(RequestError, match=r"table1.json or its .md cannot be read"):
        write_page([table], tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_the_guide_is_linked_only_where_it_stands(table: Path, tmp_path: Path) -> None:
    page = write_page([table], tmp_path / "page")[0]
    assert "reproduce.md)" not in page.read_text()
    assert "`docs/how-to/reproduce.md`" in page.read_text()
    (tmp_path / "docs/how-to").mkdir(parents=True)
    (tmp_path / "docs/how-to/reproduce.md").write_text("# How\n")
    page = write_page([table], tmp_path / "docs/evidence")[0]
    assert "](../how-to/reproduce.md)" in page.read_text()
    with Image.open(page.parent / "pictures/table1-x2-training.jpg") as plot:
        assert plot.width > plot.height


def _glass(share: float) -> np.ndarray:
    """A truth that is larger than what is shown, with a share of tissue in its middle."""
    image = np.full((2 * SIDE, 2 * SIDE, 3), 240, np.uint8)
    edge = SIDE // 2
    image[edge : edge + round(share * SIDE), edge:-edge] = (200, 80, 160)
    image[:edge] = (200, 80, 160)  # which is not shown
    return image


def test_sheets_show_tissue_and_not_glass() -> None:
    truths = [_glass(0.3 if number % 3 else 0.7) for number in range(12)]
    chosen = chosen_for_sheets(truths)
    order = np.random.default_rng(0).permutation(12).tolist()
    assert chosen == [index for index in order if index % 3 == 0][:2]
    assert chosen_for_sheets([_glass(0.9)] * 12) == order[:2]
    few = chosen_for_sheets([_glass(0.9 if number == order[-1] else 0.1) for number in range(12)])
    assert few == [order[-1], order[0]]
    assert chosen_for_sheets([_glass(0.0)]) == [0]
