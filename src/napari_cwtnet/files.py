"""Files that are found, and files that appear under their final name only when they are whole."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from napari_cwtnet.errors import OutputError

_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}


def image_files(folder: Path) -> list[Path]:
    """PNG, JPEG and TIFF files of a folder by name, hidden ones left out; none if it is missing."""
    return sorted(p for p in folder.glob("[!.]*") if p.suffix.lower() in _IMAGE_SUFFIXES)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename it to ``path`` when the block ends well.

    Raises
    ------
    OutputError
        If the folder is missing or not writable, or the disk is full. What was written so far is
        removed, and a file that was there before stays as it was.
    """
    if not path.parent.is_dir():
        raise OutputError(f"Folder {path.parent} does not exist; make it or choose another output.")
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        with partial.open("r+b") as handle:  # Windows syncs only what is open for writing
            os.fsync(handle.fileno())
        partial.replace(path)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        remedy = "free some space or choose another output" if full else "choose another output"
        raise OutputError(f"Cannot write {path}: {error.strerror or error}; {remedy}.") from error
    finally:
        partial.unlink(missing_ok=True)
