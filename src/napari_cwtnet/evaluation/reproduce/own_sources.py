"""``sources.yaml``: folders of the user's own images, and which of them are for testing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from napari_cwtnet.errors import RequestError
from napari_cwtnet.training.fields import source_files
from napari_cwtnet.training.sources import ImageSource
from napari_cwtnet.training.wrong_field import first_wrong

_LIKE = "{name: mine, folder: pngs, licence: CC0-1.0, held_out: ['7_*']}"


def read_sources(path: Path) -> list[ImageSource]:
    """The sources that a file lists; their folders are relative to its own.

    Raises
    ------
    RequestError
        If it cannot be read, a field of an entry is missing, unknown or out of range, or there is
        nothing to train on or nothing to test on.
    TrainingError
        If a folder holds no image.
    """
    listed = _entries(path)
    if not isinstance(listed, list) or not listed:
        raise RequestError(f"{path} is no list of sources; give lines like - {_LIKE}.")
    sources = [
        _source(fields, f"{path}, {_title(fields, number)}")
        for number, fields in enumerate(listed, start=1)
    ]
    _refuse_one_sided(path, sources)
    return sources


def _refuse_one_sided(path: Path, sources: list[ImageSource]) -> None:
    """A source may be there to train on alone, or to test on; not all of them."""
    told = " and ".join(
        f"{_title({'name': source.name}, number)}, {list(source.held_out)}"
        for number, source in enumerate(sources, start=1)
        if source.held_out
    )
    if not told:
        raise RequestError(
            f"No source in {path} keeps images for testing; give held_out, a list of file name "
            "patterns, to one of them."
        )
    to_train, to_test = (
        sum(len(source_files(source, path.parent, held_out=held_out)) for source in sources)
        for held_out in (False, True)
    )
    if not to_train:
        raise RequestError(
            f"{path}: nothing is left to train on, for held_out ({told}) keeps all {to_test} "
            "images for testing; give patterns that only some file names match."
        )
    if not to_test:
        raise RequestError(
            f"{path}: nothing is kept for testing, for no file name of {to_train} images matches "
            f"held_out ({told}); give patterns that some of them match."
        )


def _entries(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}; check the file.") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise RequestError(f"{path}{where}: no YAML: {error.problem}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise RequestError(f"{path}: no YAML: {' '.join(str(error).split())[:200]}.") from error


def _title(fields: Any, number: int) -> str:
    """The entry's number, and its name if it says one."""
    name = fields.get("name") if isinstance(fields, dict) else None
    return f"entry {number}" + (f" ({name!r})" if isinstance(name, str) else "")


def _source(fields: Any, title: str) -> ImageSource:
    if not isinstance(fields, dict):
        raise RequestError(f"{title}: {fields!r} is no source; give a line like - {_LIKE}.")
    try:
        return ImageSource.model_validate(fields)
    except ValidationError as error:
        raise RequestError(f"{title}: {first_wrong(error, ImageSource, 'the entry')}.") from error
