"""A computed image into a file: PNG, OME-TIFF or OME-Zarr, by the ending of its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.errors import OutputError
from napari_cwtnet.export.ome_tiff import write_ome_tiff
from napari_cwtnet.export.ome_zarr import is_computed_zarr, write_ome_zarr
from napari_cwtnet.export.png import with_badge, write_png
from napari_cwtnet.export.progress import Count, Progress
from napari_cwtnet.export.sidecar import is_sidecar, sidecar_path, write_sidecar
from napari_cwtnet.files import cannot_write, check_names, folder_written_whole, written_whole

_PNG, _TIFF, _ZARR = (".png",), (".ome.tif", ".ome.tiff"), (".ome.zarr",)


def check_output(path: Path, slide: Path | None = None) -> None:
    """Refuse, before anything is computed, an output that cannot or should not be written.

    Parameters
    ----------
    path : Path
        Where the image is to go, and its record beside it.
    slide : Path, optional
        What is read, which need not be there.

    Raises
    ------
    OutputError
        If the ending is unknown, the folder does not exist, or something is in the way that this
        program did not write: a folder, the slide, or a file of the record's name.
    """
    _check_image(path)
    if slide is not None and _is_same(path, slide):
        raise OutputError(f"Output {path} is the slide itself; choose another name.")
    record = sidecar_path(path)
    check_names(path, record)
    if record.exists() and not is_sidecar(record):
        raise OutputError(
            f"Output {path} would have its record in {record.name}, which is there and not this "
            "program's; give another name."
        )


def _check_image(path: Path) -> None:
    try:
        _refuse_place(path)
    except OSError as error:  # such as a name that is too long
        raise cannot_write(path, error) from error


def _refuse_place(path: Path) -> None:
    name = path.name.lower()
    if not name.endswith(_PNG + _TIFF + _ZARR):
        raise OutputError(
            f"Output {path} has an unknown ending; choose .png, .ome.tif or .ome.zarr."
        )
    if not path.parent.is_dir():
        raise OutputError(f"Folder {path.parent} does not exist; make it or choose another output.")
    if any((folder / "zarr.json").exists() for folder in path.absolute().parents):
        raise OutputError(f"Output {path} is inside a Zarr image; choose the folder around it.")
    if name.endswith(_ZARR):
        if path.exists() and not is_computed_zarr(path):
            raise OutputError(
                f"Output {path} is there, and holds more than an image that this program wrote; "
                "give another name."
            )
    elif path.is_dir():
        raise OutputError(f"Output {path} is a folder; give the name of a file.")


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one of them is not there
        return False


def save_image(
    path: Path,
    image: NDArray[np.uint8],
    provenance: Mapping[str, Any],
    mpp: float | None,
    progress: Progress | None = None,
) -> None:
    """Write a computed image, whole or not at all.

    Parameters
    ----------
    path : Path
        Ends in ``.png`` (provenance as text chunks), ``.ome.tif`` (tiled pyramid, pixel size and
        place in µm, provenance as map annotation) or ``.ome.zarr`` (the same as NGFF 0.5,
        provenance in the attributes).
    image : ndarray
        ``(height, width, 3)`` uint8 RGB.
    provenance : mapping
        JSON values; ``badge`` names the image.
    mpp : float or None
        µm per pixel.
    progress : callable, optional
        Called with the parts written and the parts in all; what it raises ends the writing.

    Raises
    ------
    OutputError
        If the ending is unknown, or the folder is missing, not writable or full.
    """
    _check_image(path)
    name, count = path.name.lower(), Count(progress)
    if name.endswith(_ZARR):
        with folder_written_whole(path) as partial:
            write_ome_zarr(partial, image, provenance, mpp, count)
        return
    with written_whole(path) as partial:
        if name.endswith(_PNG):
            write_png(partial, image, provenance, mpp)
            count.one_more()
        else:
            write_ome_tiff(partial, image, provenance, mpp, count)


def export_image(
    path: Path,
    image: NDArray[np.uint8],
    provenance: Mapping[str, Any],
    mpp: float | None,
    *,
    badge_on_pixels: bool = False,
    figures: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a computed image and, beside it, its record ``NAME.json``.

    Parameters
    ----------
    path, image, provenance, mpp, progress
        As :func:`save_image` takes them.
    badge_on_pixels : bool
        Draw the badge on the pixels; for PNG only.
    figures : mapping, optional
        PSNR and SSIM against the slide, for the record.

    Raises
    ------
    OutputError
        If the badge is wanted in a format for measuring, or a file cannot be written.
    """
    check_badge(path, badge_on_pixels)
    check_output(path)
    size = (int(image.shape[1]), int(image.shape[0]))
    if badge_on_pixels:
        image = with_badge(image, str(provenance.get("badge", "COMPUTED")))
    save_image(path, image, provenance, mpp, progress)
    write_sidecar(path, provenance, size, badge_on_pixels=badge_on_pixels, figures=figures)


def check_badge(path: Path, badge_on_pixels: bool) -> None:
    """Refuse to draw the badge into a file whose pixels are for measuring.

    Raises
    ------
    OutputError
        If ``path`` is not a PNG.
    """
    if badge_on_pixels and not path.name.lower().endswith(_PNG):
        raise OutputError(f"The badge is drawn on PNG pictures only; {path.name} keeps its pixels.")
