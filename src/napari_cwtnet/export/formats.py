"""The formats of computed images, by the ending of a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_cwtnet.export.dicom import write_dicom
from napari_cwtnet.export.mark import remove_mark
from napari_cwtnet.export.ome_tiff import write_ome_tiff
from napari_cwtnet.export.ome_zarr import write_ome_zarr
from napari_cwtnet.export.pyramid import Count
from napari_cwtnet.export.record import Image
from napari_cwtnet.files import folder_written_whole, written_whole

PNG, TIFF, ZARR, DICOM = (".png",), (".ome.tif", ".ome.tiff"), (".ome.zarr",), (".dicom",)


def write_levels(
    path: Path,
    levels: Sequence[Image],
    record: Mapping[str, Any],
    mpp: float | None,
    count: Count,
    *,
    derived: Path | None = None,
) -> None:
    """Write a pyramid as OME-TIFF, OME-Zarr or DICOM, whole or not at all.

    Parameters
    ----------
    path : Path
        Its ending says the format.
    levels : sequence of Image
        Finest first, each half as large as the one before.
    record : mapping
        JSON values.
    mpp : float or None
        µm per pixel of the finest.
    count : Count
        Called for every part that is written.
    derived : Path, optional
        A file that describes the image before, removed first.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    name = path.name.lower()
    folder = name.endswith(ZARR + DICOM)
    write = write_dicom if name.endswith(DICOM) else write_ome_zarr if folder else write_ome_tiff
    with (folder_written_whole if folder else written_whole)(path, derived=derived) as partial:
        write(partial, levels, record, mpp, count)
        remove_mark(path)
