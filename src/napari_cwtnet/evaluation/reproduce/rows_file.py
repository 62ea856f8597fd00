"""``rows.txt`` in the folder of a run: which rows of which tables it serves, a line each."""

from __future__ import annotations

from pathlib import Path

from napari_cwtnet.errors import OutputError
from napari_cwtnet.files import written_whole

ROWS = "rows.txt"


def note_row(folder: Path, words: str) -> None:
    """Add a line to the file unless it is there; nothing reads it but people.

    Raises
    ------
    OutputError
        If it cannot be read or written.
    """
    path = folder / ROWS
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    except (OSError, ValueError) as error:
        raise OutputError(f"File {path} cannot be read; delete it, it is made again.") from error
    if words not in lines:
        with written_whole(path) as partial:
            partial.write_text("\n".join([*lines, words]) + "\n", encoding="utf-8")
