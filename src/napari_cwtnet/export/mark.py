"""The mask beside a computed image, of what not to rely on in it: its name, and whose it is."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import PngImagePlugin

from napari_cwtnet.files import refuse_pipe


def marked_path(output: Path) -> Path:
    """``out.png.marked.png`` for ``out.png``."""
    return output.with_name(f"{output.name}.marked.png")


def is_mark(path: Path) -> bool:
    """Whether a file is a mask that this program wrote, which may be replaced or removed."""
    try:
        refuse_pipe(path)
        with PngImagePlugin.PngImageFile(path) as image:  # of any size: no pixel is read
            grey, record = image.mode == "L", json.loads(image.info.get("Comment", ""))
    except (OSError, SyntaxError, TypeError, ValueError, RecursionError):
        return False
    return grey and isinstance(record, dict) and record.get("computed") is True


def remove_mark(output: Path) -> None:
    """Remove the mask of an image that is about to be replaced: it belongs to other pixels.

    A file of that name that this program did not write stays.

    Raises
    ------
    OSError
        If it cannot be removed.
    """
    path = marked_path(output)
    if is_mark(path):
        path.unlink()
