"""Whether the disk will hold what a run writes, asked before it begins."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from napari_cwtnet.errors import OutputError
from napari_cwtnet.geometry import Size

_PER_PIXEL = 3 * 4 / 3
"""Bytes of RGB with all coarser levels."""
_ZARR_SHARE, _TIFF_SHARE = 0.45, 0.4
"""Of raw bytes that are left; measured: 0.35 to 0.39 and 0.28 on stained tissue."""
_GIGABYTE = 1e9


def needed_bytes(size: Size, *, tiff: bool) -> int:
    """An estimate of what the image takes while it is made.

    An OME-TIFF is made of a finished OME-Zarr, and both are there at the end.
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
        Whether an OME-TIFF is wanted.

    Raises
    ------
    OutputError
        If the disk has less space left than is likely needed.
    """
    needed = needed_bytes(size, tiff=tiff) - written
    free = _free_bytes(folder)
    if free is not None and free < needed:
        also = " (an OME-TIFF needs its space twice while it is made)" if tiff else ""
        raise OutputError(
            f"{size.width} × {size.height} pixels need some {needed / _GIGABYTE:.1f} GB{also}, "
            f"and {folder} has {free / _GIGABYTE:.1f} GB left; free some space, or "
            "add --no-space-check if it holds more than it says, because it compresses for one."
        )


def _free_bytes(folder: Path) -> int | None:
    """None where the disk does not tell, as some network shares."""
    with contextlib.suppress(OSError):
        usage = shutil.disk_usage(folder)
        if usage.total > 0:
            return usage.free
    return None
