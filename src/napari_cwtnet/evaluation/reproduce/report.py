"""Tables as Markdown and CSV, and the results page made of the tables that are done."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_cwtnet.errors import OutputError, RequestError
from napari_cwtnet.evaluation.reproduce.experiment import GIVEN_THE_REFERENCE, Table
from napari_cwtnet.evaluation.reproduce.pictures import AXES, GIVEN, plot_rows, require_matplotlib
from napari_cwtnet.evaluation.reproduce.results import Cell, RowSummary, Spread, summarise
from napari_cwtnet.files import written_whole

ORACLE = "ORACLE: "
_LR = {"levels": "real levels", "scanner": "LR as a scanner makes it: 2×2 mean, JPEG 75"}
_HEADS = ("×", "row", "mode", "oracle", "psnr", "psnr sd", "ssim", "ssim sd", "seeds")
_MORE = ("lead", "lead low", "lead high", "images ahead", "images", "paper psnr", "paper ssim")
_COSTS = ("parameters", "steps", "training cpu s", "cpu s per megapixel", "recipe hashes")


def write_table(table: Table, cells: Sequence[Cell], about: dict[str, Any], output: Path) -> None:
    """``KEY.md``, ``KEY.csv`` and ``KEY.json`` in ``output``.

    Parameters
    ----------
    table : Table
        The table.
    cells : sequence of Cell
        Its finished cells.
    about : dict
        Budget, data, machine and software; JSON values.
    output : Path
        Folder that exists.

    Raises
    ------
    OutputError
        If it cannot be written to.
    """
    lines = summarise(cells, table)
    texts = {
        "md": "\n".join(markdown(table, lines, about)) + "\n",
        "csv": as_csv(lines),
        "json": json.dumps(_everything(table, cells, lines, about), indent=1, ensure_ascii=False),
    }
    write_files(output, table.key, texts)


def write_files(output: Path, key: str, texts: Mapping[str, str]) -> None:
    """Write ``output/KEY.SUFFIX`` for each suffix and text."""
    for suffix, text in texts.items():
        with written_whole(output / f"{key}.{suffix}") as partial:
            partial.write_text(text, encoding="utf-8")


def make_folder(folder: Path) -> None:
    """Make a folder and its parents; raise :class:`OutputError` if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"Folder {folder} cannot be made: {error.strerror}; choose another --output."
        ) from error


def markdown(table: Table, lines: Sequence[RowSummary], about: dict[str, Any]) -> Iterator[str]:
    """The table, in parts by scale and by whether rows have the reference."""
    setting = [about["Budget"]] if about.get("Budget") else []
    setting += [_LR[about["Degradation"]]] if about.get("Degradation") in _LR else []
    yield f"## {table.title}" + (f" ({', '.join(setting)})" if setting else "")
    yield ""
    yield table.setting
    yield ""
    yield " ".join(f"{name}: {value}." for name, value in about.items() if value)
    for scale in sorted({line.scale for line in lines}):
        own = [line for line in lines if line.scale == scale]
        paired = [line for line in own if line.row.test in GIVEN_THE_REFERENCE]
        yield from _part(f"×{scale}", [line for line in own if line not in paired], table)
        if paired:
            title = f"×{scale}, given the next-higher level: not comparable with the above"
            yield from _part(title, paired, table)


def _part(title: str, lines: Sequence[RowSummary], table: Table) -> Iterator[str]:
    lpips = list(dict.fromkeys(name for line in lines for name in line.lpips))
    paired = lines[0].row.test in GIVEN_THE_REFERENCE
    against = table.compared_paired if paired else table.compared
    heads = ["", "PSNR, dB", "SSIM", *lpips, f"above {against}, dB (95 % over images)"]
    heads += ["paper", "parameters", "training, CPU s", "CPU s a megapixel", "seeds"]
    yield f"\n### {title}\n"
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for line in lines:
        paper = line.row.paper
        printed = "" if paper is None else f"{_plain(paper.psnr, 3)} / {_plain(paper.ssim, 4)}"
        cells = [shown_name(line), _pm(line.psnr, 2), _pm(line.ssim, 4)]
        cells += [_plain(line.lpips.get(name), 4) for name in lpips]
        cells += [_lead(line), printed]
        cells += [f"{line.parameters:,}", f"{line.cpu_seconds:.0f}"] if line.hashes else ["0", "0"]
        cells += [f"{line.cpu_seconds_per_megapixel:.2f}"]
        cells += [str(len(line.seeds)) if line.hashes else ""]
        yield f"| {' | '.join(cells)} |"
    for line in lines:
        if line.row.note:
            yield f"\n{shown_name(line)}: {line.row.note}."


def shown_name(line: RowSummary) -> str:
    """The row's name, with a conspicuous mark if it has the answer."""
    return f"{ORACLE}{line.row.name}" if line.row.is_oracle else line.row.name


def _pm(spread: Spread, digits: int) -> str:
    if math.isnan(spread.deviation):
        return f"{spread.mean:.{digits}f}"
    return f"{spread.mean:.{digits}f} ± {spread.deviation:.{digits}f}"


def _plain(value: float | None, digits: int) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _lead(line: RowSummary) -> str:
    return "" if line.lead is None else with_interval(line.lead, line.lead_interval)


def with_interval(lead: float, within: Sequence[float] | None) -> str:
    """A difference in dB with its confidence interval."""
    if within is None:
        return f"{lead:+.2f} (too few images)"
    low, high = within
    return f"{lead:+.2f} ({low:+.2f} to {high:+.2f})"


def as_csv(lines: Sequence[RowSummary]) -> str:
    """One line a row and scale."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*_HEADS, *_MORE, *_COSTS])
    for line in lines:
        paper = line.row.paper or (None, None)
        low, high = line.lead_interval or (None, None)
        writer.writerow(
            (
                *(line.scale, line.row.name, line.row.test, line.row.is_oracle),
                *(line.psnr.mean, _known(line.psnr.deviation)),
                *(line.ssim.mean, _known(line.ssim.deviation)),
                *(len(line.seeds), line.lead, low, high, line.ahead, line.images),
                *(None if value is None else _known(value) for value in paper),
                *(line.parameters, line.steps, line.cpu_seconds, line.cpu_seconds_per_megapixel),
                " ".join(line.hashes),
            )
        )
    return text.getvalue()


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _everything(
    table: Table, cells: Sequence[Cell], lines: Sequence[RowSummary], about: dict[str, Any]
) -> dict[str, Any]:
    return {
        "table": table.key,
        "title": table.title,
        "setting": table.setting,
        "compared": table.compared,
        "about": about,
        "rows": [_finite(asdict(line)) for line in lines],
        "cells": [_finite(asdict(cell)) for cell in cells],
    }


def _finite(value: Any) -> Any:
    """The value with null for nan and infinity, which JSON lacks."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def verdict(table: dict[str, Any]) -> Iterator[str]:
    """Sentences about a table from its JSON; none for a table without PSNR.

    A difference whose interval has both signs counts as none.
    """
    name = table.get("compared")
    for scale in sorted({row["scale"] for row in table["rows"]}) if name else ():
        rows = [row for row in table["rows"] if row["scale"] == scale]
        fair = [
            row
            for row in rows
            if row["row"]["test"] not in GIVEN_THE_REFERENCE and row["row"]["test"] != "oracle"
        ]
        own = next((row for row in fair if row["row"]["name"] == name), None)
        if own is None or len(fair) < 2:
            continue
        place = 1 + sum(row["psnr"]["mean"] > own["psnr"]["mean"] for row in fair)
        best = max((r for r in fair if r is not own), key=lambda r: r["psnr"]["mean"])
        within = best["lead_interval"]
        bicubic = next((r for r in fair if not r["hashes"]), own)
        if bicubic["psnr"]["mean"] > own["psnr"]["mean"]:
            yield f"×{scale}: {name} is below {bicubic['row']['name']}: trained too little.\n"
        sure = ""
        if within is None:
            sure = ", not significant with so few images"
        elif within[0] <= 0 <= within[1]:
            sure = ", not significant over these images"
        seeds = min(len(row["seeds"]) for row in fair if row["hashes"])
        yield (
            f"×{scale}: {name} is number {place} of {len(fair)} by PSNR; the best other row, "
            f"{best['row']['name']}, is {with_interval(best['lead'], within)} dB from it{sure}. "
            f"Trainings of each: {seeds}; the interval does not cover how they differ.\n"
        )


ROWS = "rows.txt"
_ANY = "surrogateescape"
"""Keeps whatever a user wrote into the file, in any encoding."""


def note_row(folder: Path, words: str) -> None:
    """Add a line to the file unless it has it already; the file is for people only.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path = folder / ROWS
    lines = path.read_text("utf-8", _ANY).splitlines() if path.exists() else []
    if words not in lines:
        with written_whole(path) as partial:
            partial.write_text("\n".join([*lines, words]) + "\n", "utf-8", _ANY)


PICTURES = "pictures"
EXPECTED = "expected.md"
_PLOTTED = {"table1": tuple(AXES), "table5": ("time",)}
GUIDE = Path("../how-to/reproduce.md")
_INTRO = """\
# The paper's tables, reproduced

Made by `napari-cwtnet reproduce page`; {guide} says how to make it again, at any budget.
The paper's figures stand beside ours but are not comparable with them: other images, smaller
networks, and a budget stated with each table. Only the rows of one table are comparable with one
another.

**How it is measured.** PSNR and SSIM of 8-bit RGB, with a border of as many pixels as the scale
cut off; the mean over test fields. A mean over seeds is given with its standard deviation. The
interval of a difference is a bootstrap over test images, field by field against the same field;
it shows how the difference depends on the images, not on the seed, and it ignores that fields of
one patient or slide are alike. Times are CPU seconds of one process, on a machine that may have
had other work: accurate to a tenth or two.

**What these figures do not show.** A row under "given the next-higher level" starts from a picture
of twice the resolution, and a row marked ORACLE has the answer: neither is super-resolution of LR
alone.

**Not reproduced.** The paper's data (MLCamSR, FTMS, PCam), its sizes except SRCNN's (5 million
parameters for CWT-Net at ×2), its length of training, and LPIPS. Missing tables and scales were not
run.

**Where the paper is ambiguous.** By its text the paper's CWT-Net gets the original image at ×2 in
its quantitative tests, by its Table III it does not (39.3 dB, against 44.0 with it): here it does
not. At ×4 and ×8 the paper gives CWT-Net the level above LR and the other methods nothing: here
that is a separate table, and the single-image CWT-Net is compared with the other methods. A global
bicubic skip, for all rows of a table, is not in the paper. We read "I_GT up and down" of Table III
as down and up again. CWT-Net of Table I is this package's lite preset, not the paper's.
"""


def write_page(folders: Sequence[Path], output: Path, remarks: str = "remarks.md") -> list[Path]:
    """``README.md`` in ``output``, with the tables as CSV, plots and pictures.

    Parameters
    ----------
    folders : sequence of Path
        Outputs of ``reproduce``; a table in several of them, with different budgets, comes twice.
    output : Path
        Folder to write to, made if missing.
    remarks : str
        Name of a page in ``output`` to link, if it exists.

    Returns
    -------
    list of Path
        The written files, the page first.

    Raises
    ------
    RequestError
        If a folder holds no table, or matplotlib is missing.
    OutputError
        If ``output`` cannot be written to.
    """
    found = _tables(folders)
    read = {name: _read(source) for name, source in found.items()}
    if any(table["table"] in _PLOTTED for table, _ in read.values()):
        require_matplotlib()
    make_folder(output)
    make_folder(output / PICTURES)
    files: list[Path] = []
    lines = [_INTRO.format(guide=_guide(output))]
    if (output / EXPECTED).exists():
        lines.append(f"The [expectations]({EXPECTED}) were written before.\n")
    if (output / remarks).exists():
        lines.append(f"See also the [remarks]({remarks}).\n")
    for name, source in found.items():
        table, text = read[name]
        lines += [text.strip(), ""]
        lines += [*verdict(table), ""]
        for picture in _pictures(table, name, source.parent, output):
            files.append(picture)
            if GIVEN in picture.stem:
                lines += ["Given the next-higher level; not comparable with the above:", ""]
            lines += [f"![{picture.stem}]({PICTURES}/{picture.name})", ""]
        copy = output / f"{name}.csv"
        _copied(source.with_suffix(".csv"), copy)
        files.append(copy)
        lines += [f"As a file: [{copy.name}]({copy.name}).", ""]
    page = output / "README.md"
    with written_whole(page) as partial:
        partial.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return [page, *files]


def _guide(output: Path) -> str:
    """The page on how to reproduce: a link if the docs are beside the output, else its name."""
    if (output / GUIDE).is_file():
        return f"[how to reproduce]({GUIDE.as_posix()})"
    return "`docs/how-to/reproduce.md` of napari-cwtnet"


def _tables(folders: Sequence[Path]) -> dict[str, Path]:
    """JSON files by the table's name on the page, in the order of the paper."""
    found: dict[str, Path] = {}
    for folder in folders:
        own = sorted(folder.glob("table[1-6].json"))
        if not own:
            raise RequestError(f"Folder {folder} holds no table; run `reproduce table1` into it.")
        for path in own:
            same = sum(other.stem == path.stem for other in found.values())
            found[path.stem + (f"-{same + 1}" if same else "")] = path
    return dict(sorted(found.items()))


def _pictures(table: dict[str, Any], name: str, folder: Path, output: Path) -> Iterator[Path]:
    """Plots of Tables I and V, and the strips of their runs."""
    if table["table"] in _PLOTTED:
        for scale in sorted({row["scale"] for row in table["rows"]}):
            rows = [
                row
                for row in table["rows"]
                if row["scale"] == scale
                and row["hashes"]
                and row["row"]["test"] not in GIVEN_THE_REFERENCE
                and row["row"]["test"] != "oracle"
            ]
            for what in _PLOTTED[table["table"]]:
                path = output / PICTURES / f"{name}-x{scale}-{what}.jpg"
                plot_rows(rows, what, f"{table['title']}, ×{scale}", table["compared"], path)
                yield path
    strips = [
        strip
        for scale in sorted({row.get("scale", 0) for row in table["rows"]})
        for strip in sorted((folder / PICTURES).glob(f"{table['table']}-x{scale}-*.jpg"))
    ]
    strips.sort(key=lambda strip: GIVEN in strip.stem)
    for strip in strips:
        copy = output / PICTURES / strip.name.replace(table["table"], name, 1)
        _copied(strip, copy)
        yield copy


def _read(source: Path) -> tuple[dict[str, Any], str]:
    """JSON and Markdown of a table."""
    try:
        table = json.loads(source.read_text(encoding="utf-8"))
        text = source.with_suffix(".md").read_text(encoding="utf-8")
        return {"table": table["table"], "rows": table["rows"]} | table, text
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RequestError(
            f"Table {source} or its .md cannot be read: {' '.join(str(error).split())[:200]}; "
            "reproduce that table again, its trainings are kept."
        ) from error


def _copied(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise OutputError(
            f"{source} cannot be copied to {target}: {error.strerror}; choose another --output, or "
            "reproduce the table again."
        ) from error
