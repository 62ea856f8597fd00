"""The folder beside an output in which a long run works, until all of it is there."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, Timeout

from napari_cwtnet.errors import OutputError
from napari_cwtnet.export.mark import remove_mark
from napari_cwtnet.export.record import is_sidecar, sidecar_path
from napari_cwtnet.files import (
    BEFORE,
    MARKER,
    is_real_folder,
    marker_lock,
    put_in_place,
    remove,
    sweep,
)
from napari_cwtnet.geometry import Size


class WorkFolder:
    """``.OUT.partial`` beside ``OUT``, of one run at a time.

    Parameters
    ----------
    output : Path
        The final name.
    """

    def __init__(self, output: Path) -> None:
        self.output = output.absolute()
        self.path = self.output.with_name(f".{output.name}.partial")
        self._lock: BaseFileLock | None = None

    @property
    def journal(self) -> Path:
        """What of the run is done."""
        return self.path / "journal.jsonl"

    @property
    def image(self) -> Path:
        """The OME-Zarr that blocks are written into."""
        return self.path / "image.ome.zarr"

    @property
    def converted(self) -> Path:
        """The OME-TIFF or DICOM that is made of it at the end, if one is wanted."""
        dicom = self.output.name.lower().endswith(".dicom")
        return self.path / ("image.dicom" if dicom else "image.ome.tif")

    @property
    def unfinished(self) -> bool:
        """Whether a run has begun here and not ended."""
        return self.journal.exists()

    def acquire(self) -> None:
        """Keep others out until :meth:`release`; the folder is made where it is missing.

        Raises
        ------
        OutputError
            If another run is at work in it, or it is not this program's.
        """
        with contextlib.suppress(FileExistsError):
            self.path.mkdir()
        strange = self._strange()
        if strange is not None:
            raise OutputError(
                f"Output {self.output} is made in {self.path.name}, which is there and {strange}; "
                "move it away, or choose another name."
            )
        lock = marker_lock(self.path)
        try:
            lock.acquire()
        except Timeout:
            raise OutputError(
                f"Output {self.output}: another run is writing it; wait for its end, or choose "
                "another name."
            ) from None
        self._lock = lock
        before = self.path / BEFORE
        if before.exists() and not self.output.exists():
            before.replace(self.output)

    def _strange(self) -> str | None:
        """Why the folder must not be worked in: a stranger made it."""
        if not is_real_folder(self.path):
            return "no folder"
        inside = {one.name for one in self.path.iterdir()}
        if inside and MARKER not in inside:
            return f"holds {min(inside)!r}, which this program did not write"
        return None

    def release(self) -> None:
        """Let others work here; what has not begun leaves nothing behind."""
        if self._lock is None:
            return
        begun = self.unfinished
        if not begun:
            with contextlib.suppress(OSError):
                self.clear()  # while nobody else can begin here
        self._lock.release(force=True)
        self._lock = None
        if not begun:
            with contextlib.suppress(OSError):
                (self.path / MARKER).unlink(missing_ok=True)
                self.path.rmdir()

    def clear(self, *kept: Path) -> None:
        """Remove what a killed run left here; only what a run makes, and not what is to be kept."""
        for path in (self.journal, self.image, self.converted, self.path / BEFORE):
            if path not in kept:
                remove(path)
        sweep(self.path)

    def put_in_place(self, new: Path) -> None:
        """Give a finished image of this folder its name; what had that name is here then.

        The files beside an older image go first: they would tell of other pixels.
        """
        beside = sidecar_path(self.output)
        if is_sidecar(beside):
            beside.unlink()
        remove_mark(self.output)
        put_in_place(new, self.output)

    def remove(self) -> None:
        """The end of the run."""
        self.journal.unlink(missing_ok=True)
        self.release()


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


_PER_PIXEL = 3 * 4 / 3
"""Bytes of RGB with all coarser levels."""
_ZARR_SHARE, _TIFF_SHARE = 0.45, 0.4
"""Of raw bytes that are left; measured: 0.35 to 0.39 and 0.28 on stained tissue."""
_GIGABYTE = 1e9


def finished_bytes(size: Size, *, tiff: bool) -> int:
    """An estimate of what the finished image takes, bytes; rather too much than too little."""
    return int(size.width * size.height * _PER_PIXEL * (_TIFF_SHARE if tiff else _ZARR_SHARE))


def needed_bytes(size: Size, *, tiff: bool) -> int:
    """An estimate of what the image takes while it is made.

    An OME-TIFF or DICOM is made of a finished OME-Zarr, and both are there at the end.
    """
    share = _ZARR_SHARE + (_TIFF_SHARE if tiff else 0)
    return int(size.width * size.height * _PER_PIXEL * share)


def check_space(folder: Path, size: Size, written: int, *, tiff: bool) -> None:
    """Refuse what will not fit on the disk of a folder, where the disk says how full it is.

    Parameters
    ----------
    folder : Path
        Where it will be.
    size : Size
        Of the output, pixels.
    written : int
        Bytes that are there already.
    tiff : bool
        Whether an OME-TIFF is wanted, or DICOM, which takes no more.

    Raises
    ------
    OutputError
        If the disk has less space left than is likely needed.
    """
    needed = needed_bytes(size, tiff=tiff) - written
    free = free_bytes(folder)
    if free is not None and free < needed:
        also = " (an OME-TIFF or DICOM needs its space twice while it is made)" if tiff else ""
        raise OutputError(
            f"{size.width} × {size.height} pixels need some {needed / _GIGABYTE:.1f} GB{also}, "
            f"and {folder} has {free / _GIGABYTE:.1f} GB left; free some space, or "
            "add --no-space-check if it holds more than it says, because it compresses for one."
        )


def free_bytes(folder: Path) -> int | None:
    """What is left on the disk of a folder; None where it does not tell, as some network shares."""
    with contextlib.suppress(OSError):
        usage = shutil.disk_usage(folder)
        if usage.total > 0:
            return usage.free
    return None
