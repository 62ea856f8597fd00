"""What is wrong with fields of a YAML file, in words: which key, its value, what is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

_ALLOWED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "fields, each with its name",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "literal_error": "{expected}",
    "model_type": "fields, each with its name",
    "multiple_of": "a multiple of {multiple_of:g}",
    "string_pattern_mismatch": "text that fits {pattern}",
    "string_type": "text",
    "too_long": "a list of at most {max_length}",
    "too_short": "a list of at least {min_length}",
    "tuple_type": "a list",
}
_LONGEST = 60


def first_wrong(error: ValidationError, model: type[BaseModel], whole: str) -> str:
    """The first field that is wrong, an unknown one before all others.

    Parameters
    ----------
    error : ValidationError
        What pydantic says.
    model : type
        That the fields were checked by; it knows the names and what they mean.
    whole : str
        Called so where no field but all of them together are wrong.

    Returns
    -------
    str
        For instance ``sources.0.halvings: 9 is given; give a number of at most 3: times the image
        is halved before use``.
    """
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    where = ".".join(str(key) for key in first["loc"]) or whole
    known, meaning = _known_of(model, first["loc"])
    told = f": {meaning}" if meaning else ""
    if first["type"] == "extra_forbidden":
        return f"{where}: there is no such field; known are {', '.join(known)}"
    if first["type"] == "missing":
        return f"{where}: missing; give it{told}"
    allowed = _ALLOWED.get(first["type"])
    if allowed is None:
        return (
            f"{where}: {' '.join(first['msg'].split()).removeprefix('Value error, ').rstrip('.')}"
        )
    wanted = allowed.format(**first.get("ctx", {}))
    return f"{where}: {_shown(first['input'])} is given; give {wanted}{told}"


def _known_of(model: type[BaseModel], keys: tuple[int | str, ...]) -> tuple[list[str], str]:
    """Names of all fields beside the last key, and what its own is for."""
    own: type[BaseModel] | None = model
    names: list[str] = []
    meaning = ""
    for key in keys:
        if not isinstance(key, str):
            continue
        fields = own.model_fields if own is not None else {}
        names = list(fields)
        meaning = (fields[key].description or "") if key in fields else ""
        own = next(_models(fields[key].annotation), None) if key in fields else None
    return names, meaning


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Those that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _shown(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
