"""Whether two runs give the same bytes, by what their provenances say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_cwtnet.errors import OutputError

_FIRST = ("slide_fingerprint", "software")
"""Another slide says all; another version may have keys that this one has not."""
_LAST = "badge"
"""It says only what others say."""


def identity(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal for two runs to give the same bytes: all but the time."""
    return {key: value for key, value in provenance.items() if key != "time"}


def check_same(
    wanted: Mapping[str, Any],
    found: Mapping[str, Any],
    who: str,
    remedy: str,
    *,
    of_software: str | None = None,
) -> None:
    """Refuse to mix pixels of two kinds in one image.

    Parameters
    ----------
    wanted, found : mapping
        Provenances: of what is there, and of what would be made now.
    who : str
        Whose they are, the beginning of the message.
    remedy : str
        What to do, its end.
    of_software : str, optional
        What to do instead where the versions of the software differ.

    Raises
    ------
    OutputError
        If the provenances differ in more than the time; says in what.
    """
    a, b = identity(wanted), identity(found)
    differing = {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}
    other = sorted(differing, key=lambda key: (key not in _FIRST, key == _LAST, key))
    if not other:
        return
    key = other[0]
    more = f" (also {', '.join(other[1:])})" if other[1:] else ""
    if key == "software" and of_software is not None:
        remedy = f"versions may make other pixels: {of_software}"
    raise OutputError(f"{who}: {key} is {a.get(key)}, here {b.get(key)}{more}; {remedy}.")
