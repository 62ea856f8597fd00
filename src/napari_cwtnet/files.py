"""Files that are found, and files that appear under their final name only when they are whole."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from napari_cwtnet.errors import OutputError

_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}

MARKER = ".napari-cwtnet"
"""A folder that holds it is this program's own work; the process at work there locks it."""
_PRIVATE = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.partial", re.DOTALL)
BEFORE = f"{MARKER}-before"
"""An older folder, while a new one takes its name on a system that cannot exchange names."""
_ATTEMPTS = 20


def image_files(folder: Path) -> list[Path]:
    """PNG, JPEG and TIFF files of a folder by name, hidden ones left out; none if it is missing."""
    return sorted(p for p in folder.glob("[!.]*") if p.suffix.lower() in _IMAGE_SUFFIXES)


@contextlib.contextmanager
def written_whole(path: Path, *, derived: Path | None = None) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename it to ``path`` when the block ends well.

    Parameters
    ----------
    path : Path
        A file. What processes that were killed left of it is removed.
    derived : Path, optional
        A file that describes the one before; removed first, so that it never describes another.

    Raises
    ------
    OutputError
        If the folder is missing or not writable, or the disk is full. What was written so far is
        removed, and a file that was there before stays as it was.
    """
    _check_folder(path)
    check_names(path)
    try:
        with _private_folder(path) as folder:
            partial = folder / path.name
            yield partial
            sync(partial)
            if derived is not None:
                derived.unlink(missing_ok=True)
            partial.replace(path)
            sync(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


@contextlib.contextmanager
def folder_written_whole(path: Path, *, derived: Path | None = None) -> Iterator[Path]:
    """As :func:`written_whole`, for a format that is a folder of files.

    A folder that was there before is replaced at the end, and deleted.

    Raises
    ------
    OutputError
        If the folder around it is missing or not writable, or the disk is full.
    """
    _check_folder(path)
    check_names(path)
    try:
        with _private_folder(path) as folder:
            partial = folder / path.name
            yield partial
            for one in (partial, *partial.rglob("*")):
                sync(one)
            if derived is not None:
                derived.unlink(missing_ok=True)
            put_in_place(partial, path)
    except OSError as error:
        raise cannot_write(path, error) from error


def put_in_place(new: Path, path: Path) -> None:
    """Give a file or folder its final name; what had that name is under the new one's then.

    One step where the system can exchange names, as Linux and macOS do. Elsewhere an older folder
    is moved beside the new one first, where :func:`sweep` finds it after a crash.

    Raises
    ------
    OSError
        If it cannot be done; what was there is where it was, or beside the new one.
    """
    if not path.is_dir() or path.is_symlink():
        new.replace(path)
    elif not _exchange(new, path):
        before = new.with_name(BEFORE)
        path.replace(before)
        try:
            new.replace(path)
        except OSError:
            before.replace(path)
            raise
    sync(path.parent)


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove what processes that were killed left in a folder; of one output, or of all.

    Only folders are removed that :func:`written_whole` made and that no living process holds.
    """
    with contextlib.suppress(OSError):
        for left in list(folder.iterdir()):
            found = _PRIVATE.fullmatch(left.name)
            if found and name in (None, found["name"]) and is_real_folder(left):
                with contextlib.suppress(OSError, Timeout, NotImplementedError):
                    _remove_left(left, folder / found["name"])


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all in it; what a link leads to stays."""
    if is_real_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_real_folder(path: Path) -> bool:
    """Whether there is a folder of that name that is no link to one."""
    return path.is_dir() and not path.is_symlink()


def marker_lock(folder: Path) -> FileLock:
    """The lock by which a process owns a folder of this program; it ends with the process.

    Raises
    ------
    OSError
        If a link is in its place.
    """
    refuse_link(folder / MARKER)
    return FileLock(folder / MARKER, timeout=0, thread_local=False)


def refuse_link(path: Path) -> None:
    """Raise :class:`OSError` if a link has that name, by which another file would be changed."""
    if path.is_symlink():
        raise OSError(errno.ELOOP, f"{path.name} is a link; remove it")


def read_file(path: Path) -> bytes:
    """All of a file; a pipe or a device is refused, for it would be waited for.

    Raises
    ------
    OSError
        If it is missing, no file, or cannot be read.
    """
    refuse_pipe(path)
    return path.read_bytes()


def refuse_pipe(path: Path) -> None:
    """Raise :class:`OSError` if there is a pipe, a socket or a device, or nothing."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.ENODEV, "a pipe or a device, not a file", str(path))


def append(path: Path, data: bytes) -> None:
    """Add bytes to a file, which is made where it is missing; they are on the disk then.

    Raises
    ------
    OSError
        If a link has that name, or the bytes cannot be written.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # waits for no pipe
    with open(path, "ab", opener=lambda name, _: os.open(name, flags, 0o666)) as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def sync(path: Path) -> None:
    """Return when the disk has a file, or the names in a folder where the system can tell."""
    folder = path.is_dir()
    with contextlib.suppress(PermissionError) if folder else contextlib.nullcontext():
        handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)  # no folder opens on Windows
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _private_folder(path: Path) -> Iterator[Path]:
    """A new folder beside ``path`` that only this process works in; gone when the block ends.

    Its name cannot be guessed, so that nothing that was planted is written through.
    """
    sweep(path.parent, path.name)
    folder, lock = _locked_folder(path)
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):  # the folder around it can be read-only by now
            _empty(folder)
        lock.release(force=True)
        with contextlib.suppress(OSError):
            (folder / MARKER).unlink(missing_ok=True)
            folder.rmdir()


def _locked_folder(path: Path) -> tuple[Path, FileLock]:
    for _ in range(_ATTEMPTS):
        folder = _private(path)
        try:
            folder.mkdir(0o700)
        except FileExistsError:  # whatever it is, it is not ours
            continue
        lock = marker_lock(folder)
        # Another process that sweeps may have taken it for a dead one's before it was locked.
        with contextlib.suppress(Timeout, FileNotFoundError):
            lock.acquire()
            if (folder / MARKER).exists():
                return folder, lock
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _remove_left(left: Path, path: Path) -> None:
    if not (left / MARKER).exists():
        left.rmdir()  # killed before it was marked; anything else in it is not ours
        return
    with marker_lock(left):
        before = left / BEFORE
        if before.exists() and not path.exists():
            before.replace(path)
        _empty(left)
        (left / MARKER).unlink()
        left.rmdir()


def _empty(folder: Path) -> None:
    for one in folder.iterdir():
        if one.name != MARKER:
            remove(one)


def _exchange(a: Path, b: Path) -> bool:
    """Swap two names in one step; False where the system or the disk cannot."""
    if not sys.platform.startswith(("linux", "darwin")):
        return False
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(a), os.fsencode(b)
    try:
        if sys.platform == "darwin":
            failed = library.renamex_np(*names, 2)  # RENAME_SWAP
        else:
            here = -100  # AT_FDCWD
            failed = library.renameat2(here, names[0], here, names[1], 2)  # RENAME_EXCHANGE
    except AttributeError:  # a C library of before 2018
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM):
        return False
    raise OSError(number, os.strerror(number))


def check_names(*paths: Path) -> None:
    """Refuse what the system has no names for, or none for what is written first.

    Raises
    ------
    OutputError
        If a name is too long, or cannot be looked at.
    """
    for path in paths:
        for name in (path, _private(path)):
            try:
                name.lstat()
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                raise cannot_write(path, error) from error


def make_and_remove(path: Path) -> None:
    """Make something beside ``path`` and remove it; permission bits do not reveal a read-only disk.

    Where the folder of ``path`` is missing, the one above that is there is tried.

    Raises
    ------
    OSError
        If nothing can be made there.
    """
    above = next(folder for folder in path.absolute().parents if folder.exists())
    tried = _private(above / path.name)
    tried.mkdir(0o700)
    with contextlib.suppress(OSError):  # another process has swept it, or a scanner looks into it
        tried.rmdir()


def check_writable(path: Path) -> None:
    """Refuse, before any work, a name beside which nothing can be made.

    Raises
    ------
    OutputError
        If the folder, or that above where it is missing, cannot be written to.
    """
    try:
        make_and_remove(path)
    except OSError as error:
        raise cannot_write(path, error) from error


def check_place(path: Path) -> None:
    """Refuse, before any work, what :func:`written_whole` would refuse after it.

    Raises
    ------
    OutputError
        If the folder is missing or cannot be written to, or the name is too long.
    """
    _check_folder(path)
    check_names(path)
    check_writable(path)


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise OutputError(f"Folder {path.parent} does not exist; make it or choose another output.")


def _private(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")


def cannot_write(path: Path, error: OSError | ValueError) -> OutputError:
    """What the system says against writing a file, in words, and what to do."""
    number = getattr(error, "errno", None)
    full = number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
    remedy = "free some space or choose another output" if full else "choose another output"
    reason = getattr(error, "strerror", None) or error
    return OutputError(f"Cannot write {path}: {reason}; {remedy}.")
