"""A table as Markdown for people, CSV for spreadsheets and JSON with everything."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_cwtnet.evaluation.reproduce.experiment import GIVEN_THE_REFERENCE, Table
from napari_cwtnet.evaluation.reproduce.summary import Cell, RowSummary, Spread, summarise
from napari_cwtnet.files import written_whole

ORACLE = "ORACLE: "
_HEADS = ("×", "row", "mode", "oracle", "psnr", "psnr sd", "ssim", "ssim sd", "seeds")
_MORE = ("lead", "lead low", "lead high", "images ahead", "images", "paper psnr", "paper ssim")
_COSTS = ("parameters", "steps", "training cpu s", "cpu s per megapixel", "recipe hashes")


def write_table(table: Table, cells: Sequence[Cell], about: dict[str, Any], output: Path) -> None:
    """``KEY.md``, ``KEY.csv`` and ``KEY.json`` in ``output``.

    Parameters
    ----------
    table : Table
        What it is.
    cells : sequence of Cell
        What is done of it so far.
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
    for suffix, text in texts.items():
        with written_whole(output / f"{table.key}.{suffix}") as partial:
            partial.write_text(text, encoding="utf-8")


def markdown(table: Table, lines: Sequence[RowSummary], about: dict[str, Any]) -> Iterator[str]:
    """The table, one part for each scale and for what is given the reference."""
    told = [about["Budget"]] if about.get("Budget") else []
    told += ["real levels"] if about.get("Degradation") == "levels" else []
    yield f"## {table.title}" + (f" ({', '.join(told)})" if told else "")
    yield ""
    yield table.setting
    yield ""
    yield " ".join(f"{name}: {value}." for name, value in about.items() if value)
    for scale in sorted({line.scale for line in lines}):
        own = [line for line in lines if line.scale == scale]
        paired = [line for line in own if line.row.test in GIVEN_THE_REFERENCE]
        yield from _part(f"×{scale}", [line for line in own if line not in paired], table)
        if paired:
            title = f"×{scale}, given the next-higher level: not to be compared with the above"
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
        said = "" if paper is None else f"{_plain(paper.psnr, 3)} / {_plain(paper.ssim, 4)}"
        cells = [shown_name(line), _pm(line.psnr, 2), _pm(line.ssim, 4)]
        cells += [_plain(line.lpips.get(name), 4) for name in lpips]
        cells += [_lead(line), said]
        cells += [f"{line.parameters:,}", f"{line.cpu_seconds:.0f}"] if line.hashes else ["0", "0"]
        cells += [f"{line.cpu_seconds_per_megapixel:.2f}"]
        cells += [str(len(line.seeds)) if line.hashes else ""]
        yield f"| {' | '.join(cells)} |"
    for line in lines:
        if line.row.note:
            yield f"\n{shown_name(line)}: {line.row.note}."


def shown_name(line: RowSummary) -> str:
    """The row's name, with a mark nobody can miss where it is given the answer."""
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
    """A difference in dB, and what is known of how sure it is."""
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
    """JSON has no nan and no infinity: null stands for both."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def verdict(told: dict[str, Any]) -> Iterator[str]:
    """Sentences on a table, out of its JSON; none for a table without PSNR.

    A difference whose interval has both signs is called none.
    """
    name = told.get("compared")
    for scale in sorted({row["scale"] for row in told["rows"]}) if name else ():
        rows = [row for row in told["rows"] if row["scale"] == scale]
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
            sure = ", which so few images do not make a difference"
        elif within[0] <= 0 <= within[1]:
            sure = ", which is no difference over these images"
        seeds = min(len(row["seeds"]) for row in fair if row["hashes"])
        yield (
            f"×{scale}: {name} is number {place} of {len(fair)} by PSNR; the best other row, "
            f"{best['row']['name']}, is {with_interval(best['lead'], within)} dB from it{sure}. "
            f"Trainings of each: {seeds}; the interval knows nothing of how they differ.\n"
        )


ROWS = "rows.txt"
_ANY = "surrogateescape"
"""What a user wrote into it, in whatever encoding, stays, and stops no table."""


def note_row(folder: Path, words: str) -> None:
    """Add a line to the file unless it is there; nothing reads it but people.

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
