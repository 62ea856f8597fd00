"""``rows.txt`` in the folder of a run: which rows of which tables it serves, a line each."""

from __future__ import annotations

from pathlib import Path

from napari_cwtnet.files import written_whole

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
