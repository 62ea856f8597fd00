"""``sources.yaml``: folders of the user's own images, and which of them are for testing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from napari_cwtnet.errors import RequestError
from napari_cwtnet.training.sources import ImageSource
from napari_cwtnet.training.wrong_field import first_wrong

_LIKE = "{name: mine, folder: pngs, licence: CC0-1.0, held_out: ['7_*']}"


def read_sources(path: Path) -> list[ImageSource]:
    """The sources that a file lists.

    Raises
    ------
    RequestError
        If it cannot be read, or a field of an entry is missing, unknown or out of range.
    """
    listed = _entries(path)
    if not isinstance(listed, list) or not listed:
        raise RequestError(f"{path} is no list of sources; give lines like - {_LIKE}.")
    return [_source(fields, _title(path, listed, number)) for number, fields in enumerate(listed)]


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


def _title(path: Path, listed: list[Any], number: int) -> str:
    """File and entry, with its name if it says one."""
    fields = listed[number]
    name = fields.get("name") if isinstance(fields, dict) else None
    return f"{path}, entry {number + 1}" + (f" ({name!r})" if isinstance(name, str) else "")


def _source(fields: Any, title: str) -> ImageSource:
    if not isinstance(fields, dict):
        raise RequestError(f"{title}: {fields!r} is no source; give a line like - {_LIKE}.")
    try:
        return ImageSource.model_validate(fields)
    except ValidationError as error:
        raise RequestError(f"{title}: {first_wrong(error, ImageSource, 'the entry')}.") from error
