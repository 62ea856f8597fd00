"""Files that are found, and files that appear under their final name only when they are whole."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
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
    _check_folder(path)
    check_names(path)
    partial = _partial(path)
    try:
        yield partial
        with partial.open("r+b") as handle:  # Windows syncs only what is open for writing
            os.fsync(handle.fileno())
        partial.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # the folder can be read-only by now
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """As :func:`written_whole`, for a format that is a folder of files.

    A folder that was there before is replaced at the end, and deleted.

    Raises
    ------
    OutputError
        If the folder around it is missing or not writable, or the disk is full.
    """
    _check_folder(path)
    check_names(path)
    partial = _partial(path)
    before = partial.with_name(f"{partial.name}.before")
    try:
        yield partial
        if path.exists():
            path.replace(before)
        try:
            partial.replace(path)
        except OSError:
            if before.exists():
                before.replace(path)
            raise
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if path.exists():  # else the older one could not be put back, and is all there is
            shutil.rmtree(before, ignore_errors=True)


def check_names(*paths: Path) -> None:
    """Refuse what the system has no names for, or none for what is written first.

    Raises
    ------
    OutputError
        If a name is too long, or cannot be looked at.
    """
    for path in paths:
        partial = _partial(path)
        for name in (path, partial, partial.with_name(f"{partial.name}.before")):
            try:
                name.lstat()
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                raise cannot_write(path, error) from error


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise OutputError(f"Folder {path.parent} does not exist; make it or choose another output.")


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


def cannot_write(path: Path, error: OSError | ValueError) -> OutputError:
    """What the system says against writing a file, in words, and what to do."""
    number = getattr(error, "errno", None)
    full = number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
    remedy = "free some space or choose another output" if full else "choose another output"
    reason = getattr(error, "strerror", None) or error
    return OutputError(f"Cannot write {path}: {reason}; {remedy}.")
