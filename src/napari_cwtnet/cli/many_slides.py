"""A command for one slide, or for each of many with a table of what became of them."""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_cwtnet import __version__
from napari_cwtnet.cli.report import report
from napari_cwtnet.cli.terminal import complain, tell
from napari_cwtnet.errors import CwtnetError, ModelError, OutputError, RequestError
from napari_cwtnet.export.whole_slide.source import files_digest
from napari_cwtnet.files import check_writable, read_file, refuse_pipe, written_whole
from napari_cwtnet.model import load_model
from napari_cwtnet.slides.backends.zarr import is_zarr
from napari_cwtnet.slides.opening import slide_stem

Command = Callable[[argparse.Namespace], Mapping[str, Any] | None]
"""Does a command for ``arguments.slide``; what to report, or None if it was interrupted."""
Row = dict[str, str]

_COLUMNS = ("slide", "state", "why", "seconds", "output", "settings")
_NOT_SLIDES = {".csv", ".geojson", ".json", ".md", ".txt", ".xml", ".yaml", ".yml"}
_NO_SETTINGS = {"slide", "slides", "output", "part", "json", "run", "resume", "scheduler"}
_SOME_FAILED, _INTERRUPTED = 1, 130


def run_for_slides(arguments: argparse.Namespace, command: Command, ending: str = "") -> int:
    """Run a command for its slide, or for each of ``--slides``, and report.

    Parameters
    ----------
    arguments : Namespace
        With ``slide``, ``slides``, ``part``, ``output`` and ``json``.
    command : callable
        Does one slide; ``replace`` says that its output is there and was made of something else.
    ending : str
        Of the file that it writes for each of many; empty if it writes none.

    Returns
    -------
    int
        Exit code: 0 done, 1 if it failed for some of the slides, 130 interrupted.

    Raises
    ------
    CwtnetError
        If the one slide fails, or what is said of many makes no sense.
    """
    if (arguments.slide is None) == (arguments.slides is None):
        raise RequestError("Give either a slide, or --slides with a folder or a list.")
    if arguments.slides is None:
        if arguments.part is not None:
            raise RequestError("--part is for --slides.")
        said = command(arguments)
        if said is None:
            return _INTERRUPTED
        report(said, as_json=arguments.json)
        return 0
    if arguments.output is None:
        raise RequestError("--slides wants --output, the folder of the table.")
    slides = find_slides(arguments.slides)
    if ending:
        _check_names(slides)
    arguments.output.mkdir(parents=True, exist_ok=True)
    name = "slides"
    if arguments.part is not None:
        number, parts = _part(arguments.part)
        slides, name = slides[number - 1 :: parts], f"slides-{number}-of-{parts}"
    return _run_each(arguments, command, ending, slides, arguments.output / f"{name}.csv")


def find_slides(place: Path) -> list[Path]:
    """Slides of a folder by name, or of a text file with a path in each line.

    In a folder, hidden files, tables, texts and folders that are no slides are left out. In a
    list, so are empty lines and those that begin with ``#``; paths are relative to the list.

    Raises
    ------
    RequestError
        If there are none, or the list cannot be read.
    """
    if place.is_dir():
        found = [one for one in sorted(place.glob("[!.]*")) if _may_be_slide(one)]
    else:
        try:
            lines = [line.strip() for line in read_file(place).decode().splitlines()]
        except (OSError, UnicodeDecodeError):
            raise RequestError(
                f"--slides {str(place)!r} is neither a folder nor a text file (no pipe) with a "
                "path in each line."
            ) from None
        found = [place.parent / line for line in lines if line and not line.startswith("#")]
    if not found:
        raise RequestError(f"--slides {str(place)!r} names no slides.")
    return found


def _may_be_slide(path: Path) -> bool:
    if path.is_dir():
        return is_zarr(path) or next(path.glob("*.dcm"), None) is not None
    return path.suffix.lower() not in _NOT_SLIDES


def _check_names(slides: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for slide in slides:
        other = seen.setdefault(slide_stem(slide).lower(), slide)
        if other is not slide:
            raise RequestError(
                f"Slides {str(other)!r} and {str(slide)!r} would have results of one name; list "
                "one of them in another run with another --output."
            )


def _part(words: str) -> tuple[int, int]:
    first, _, last = words.partition("/")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise RequestError(f"--part {words!r}: give K/N with K from 1 to N, such as 3/10.")
    return int(first), int(last)


def _run_each(
    arguments: argparse.Namespace, command: Command, ending: str, slides: list[Path], table: Path
) -> int:
    settings = _settings(arguments)
    rows = _read(table)
    check_writable(table)
    counts = {"done": 0, "done_before": 0, "failed": 0}
    for number, slide in enumerate(slides, start=1):
        output = arguments.output / f"{slide_stem(slide)}{ending}" if ending else None
        before = rows.get(str(slide))
        state = _state(slide)
        there = output is None or output.exists()
        was_done = before is not None and before["state"] == "done" and there
        if was_done and before is not None and _is_same(before, state | {"settings": settings}):
            counts["done_before"] += 1
            continue
        tell(f"slide {number} of {len(slides)}: {slide}")
        own = argparse.Namespace(
            **vars(arguments) | {"slide": slide, "output": output, "replace": was_done}
        )
        began = time.monotonic()
        row = {"slide": str(slide), "output": str(output or ""), "settings": settings}
        row |= state
        try:
            said = command(own)
        except Exception as error:  # noqa: BLE001  the other slides are not to wait for this one
            why = (
                str(error) if isinstance(error, CwtnetError) else f"{type(error).__name__}: {error}"
            )
            row |= {"state": "failed", "why": why}
            complain(why)
        else:
            if said is None:
                return _INTERRUPTED
            row |= _figures(said) | {"state": "done", "why": ""}
        row["seconds"] = f"{time.monotonic() - began:.1f}"
        counts["done" if row["state"] == "done" else "failed"] += 1
        rows[str(slide)] = row
        _write(table, list(rows.values()))
    report({"table": str(table), "slides": len(slides)} | counts, as_json=arguments.json)
    return _SOME_FAILED if counts["failed"] else 0


def _settings(arguments: argparse.Namespace) -> str:
    given = {k: v for k, v in sorted(vars(arguments).items()) if k not in _NO_SETTINGS}
    given |= {"version": __version__, "model_sha256": _sha256(given.get("model"))}
    return " ".join(
        f"{key}={value}" for key, value in given.items() if value not in (None, [], False)
    )


def _sha256(model: str | None) -> str | None:
    """Of a model, for another may have come under its name; None where there is none to read."""
    try:
        return None if model is None else load_model(model).sha256
    except ModelError:
        return None  # the command says so, or needs no file: box


def _state(slide: Path) -> Row:
    """The state of a slide's files; empty where they cannot be read."""
    try:
        return {"slide_files": files_digest(slide)}
    except OSError:
        return {"slide_files": ""}


def _is_same(row: Row, now: Row) -> bool:
    return all(row.get(key) == value for key, value in now.items())


def _figures(said: Mapping[str, Any]) -> Row:
    return {
        key: f"{value:.6g}" if isinstance(value, float) else str(value)
        for key, value in said.items()
        if isinstance(value, (bool, float, int, str)) and key not in (*_COLUMNS, "slide_files")
    }


def _read(table: Path) -> dict[str, Row]:
    """Rows of an earlier run, by slide.

    Raises
    ------
    OutputError
        If the file is another program's, or damaged.
    """
    if not table.exists():
        return {}
    try:
        refuse_pipe(table)
        with table.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ())[: len(_COLUMNS)] != _COLUMNS:
                raise OutputError(f"Table {table} is not of this program; choose another --output.")
            return {row["slide"]: row for row in reader}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OutputError(
            f"Table {table} cannot be read: {error}. Move it away to do all slides again, or "
            "choose another --output."
        ) from error


def _write(table: Path, rows: Sequence[Row]) -> None:
    columns = dict.fromkeys([*_COLUMNS, *(key for row in rows for key in row)])
    with written_whole(table) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns), restval="")
        writer.writeheader()
        writer.writerows(rows)
