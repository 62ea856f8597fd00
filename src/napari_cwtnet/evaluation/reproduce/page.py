"""The results page: tables, plots and pictures out of the folders of tables that are done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from napari_cwtnet.errors import OutputError, RequestError
from napari_cwtnet.evaluation.reproduce.experiment import GIVEN_THE_REFERENCE
from napari_cwtnet.evaluation.reproduce.plots import AXES, plot_rows
from napari_cwtnet.evaluation.reproduce.verdict import verdict
from napari_cwtnet.files import written_whole

PICTURES = "pictures"
_INTRO = """\
# The paper's tables, done again

Made by `napari-cwtnet reproduce page`; how to make it again, at any budget, is told in
[how to reproduce](../how-to/reproduce.md). The paper's figures stand beside ours and are not to
be compared with them: other images, smaller networks, and a budget that each table names. What can
be compared are the rows of one table with one another. What was [expected](expected.md) was written
before.

A mean over seeds is given with its standard deviation; the interval of a difference is a bootstrap
over test images. Times are CPU seconds of one process with one thread, on a machine that had other
work: good to a tenth or two.
"""


def write_page(folders: Sequence[Path], output: Path, remarks: str = "remarks.md") -> list[Path]:
    """``README.md`` in ``output``, with the tables as CSV, plots and pictures.

    Parameters
    ----------
    folders : sequence of Path
        Outputs of ``reproduce``; a table that several hold, with different budgets, comes twice.
    output : Path
        Made if it is not there.
    remarks : str
        Name of a page in ``output`` that is linked, if it exists.

    Returns
    -------
    list of Path
        What was written, the page first.

    Raises
    ------
    RequestError
        If a folder holds no table, or matplotlib is missing.
    OutputError
        If ``output`` cannot be written to.
    """
    found = _tables(folders)
    try:
        (output / PICTURES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Folder {output} cannot be made: {error.strerror}.") from error
    files: list[Path] = []
    lines = [_INTRO]
    if (output / remarks).exists():
        lines.append(f"What is to be said of them: [remarks]({remarks}).\n")
    for name, source in found.items():
        told = json.loads(source.read_text(encoding="utf-8"))
        lines += [source.with_suffix(".md").read_text(encoding="utf-8").strip(), ""]
        lines += [*verdict(told), ""]
        for picture in _pictures(told, name, source.parent, output):
            files.append(picture)
            lines += [f"![{picture.stem}]({PICTURES}/{picture.name})", ""]
        copy = output / f"{name}.csv"
        shutil.copyfile(source.with_suffix(".csv"), copy)
        files.append(copy)
        lines += [f"As a file: [{copy.name}]({copy.name}).", ""]
    page = output / "README.md"
    with written_whole(page) as partial:
        partial.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return [page, *files]


def _tables(folders: Sequence[Path]) -> dict[str, Path]:
    """JSON files by the name that a table has on the page, in the order of the paper."""
    found: dict[str, Path] = {}
    for folder in folders:
        own = sorted(folder.glob("table[1-6].json"))
        if not own:
            raise RequestError(f"Folder {folder} holds no table; run `reproduce table1` into it.")
        for path in own:
            same = sum(other.stem == path.stem for other in found.values())
            found[path.stem + (f"-{same + 1}" if same else "")] = path
    return dict(sorted(found.items()))


def _pictures(told: dict[str, Any], name: str, folder: Path, output: Path) -> Iterator[Path]:
    """Plots of Table I and V, and the strips that their runs left."""
    if told["table"] in ("table1", "table5"):
        for scale in sorted({row["scale"] for row in told["rows"]}):
            rows = [
                row
                for row in told["rows"]
                if row["scale"] == scale
                and row["hashes"]
                and row["row"]["test"] not in GIVEN_THE_REFERENCE
                and row["row"]["test"] != "oracle"
            ]
            for what in AXES if told["table"] == "table1" else ("time",):
                path = output / PICTURES / f"{name}-x{scale}-{what}.jpg"
                plot_rows(rows, what, f"{told['title']}, ×{scale}", told["compared"], path)
                yield path
    for strip in sorted((folder / PICTURES).glob(f"{told['table']}-*.jpg")):
        copy = output / PICTURES / strip.name.replace(told["table"], name, 1)
        shutil.copyfile(strip, copy)
        yield copy
