"""How much memory a file may ask for: checked before anything of it is decoded."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from napari_cwtnet.errors import SlideError

DECODE_BYTES = 512 * 2**20
"""Most memory that decoding one tile, strip, chunk or image may take."""

HEADER_BYTES = 32 * 2**20
"""Most bytes of metadata in one piece: a tag, a JSON file, the header of a weights file."""

MOST_IMAGES = 4096
"""Most directories of a TIFF file, planes of an OME image and levels of a pyramid."""


def check_decode(name: str, what: str, needed: float) -> None:
    """Refuse what needs more memory than `DECODE_BYTES`.

    Parameters
    ----------
    name : str
        Of the file.
    what : str
        The piece that is decoded at once, such as ``"a tile of 300 × 200 pixels"``.
    needed : float
        Bytes that decoding it takes.

    Raises
    ------
    SlideError
        If that is too much.
    """
    if needed > DECODE_BYTES:
        raise SlideError(
            f"Slide {name!r} needs {_megabytes(needed)} of memory to decode {what}, more than "
            f"{_megabytes(DECODE_BYTES)}; convert it to a TIFF with tiles of 256 to 1024 pixels."
        )


def check_header(name: str, what: str, size: int) -> None:
    """Refuse metadata of more than `HEADER_BYTES`.

    Parameters
    ----------
    name : str
        Of the file.
    what : str
        The piece of metadata.
    size : int
        Its bytes.

    Raises
    ------
    SlideError
        If that is too much.
    """
    if size > HEADER_BYTES:
        raise SlideError(
            f"Slide {name!r} has {_megabytes(size)} of {what}, more than "
            f"{_megabytes(HEADER_BYTES)}; check that it is the file that you mean."
        )


def is_regular_file(path: Path | str) -> bool:
    """Whether reading a path ends: False for pipes, devices and what is not there."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"
