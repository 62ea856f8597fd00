"""The OME-Zarr that blocks are written into; what is written is on the disk for good."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.errors import OutputError
from napari_cwtnet.export.ome_zarr import CHUNK, KEY, WRITTEN
from napari_cwtnet.geometry import Size

Pixels = NDArray[np.uint8]


class Store:
    """The levels of an OME-Zarr that :func:`create_ome_zarr` made, open for reading and writing.

    Parameters
    ----------
    path : Path
        The folder.
    run : mapping, optional
        Provenance of the only run that may be written for, where nobody else holds the folder.

    Raises
    ------
    OutputError
        If it is not there: on another machine, where that sees other files.
    """

    def __init__(self, path: Path, run: Mapping[str, Any] | None = None) -> None:
        import zarr

        self._path, self._run = path, run
        try:
            self._group: Any = zarr.open_group(str(path), mode="r+")
        except FileNotFoundError:
            raise OutputError(
                f"Image {path} is not there; every worker needs the folder of the output, under "
                "the same path."
            ) from None
        names = sorted(self._group.array_keys(), key=int)
        with zarr.config.set({f"array.{name}": value for name, value in WRITTEN.items()}):
            self._arrays = [self._group[name] for name in names]

    def settle(self) -> None:
        """Return when the disk has the files that are here now."""
        for path in (self._path, *self._path.rglob("*")):
            _sync(path)

    def complete(self, provenance: Mapping[str, Any]) -> None:
        """Write what is known at the end, and remove what writers left that were killed."""
        self._group.attrs[KEY] = dict(provenance)
        _sync(self._path / "zarr.json")
        for left in self._path.rglob("*.partial"):  # zarr's name for a file not yet whole
            left.unlink()

    @property
    def sizes(self) -> list[Size]:
        """Of the levels, pixels, finest first."""
        return [Size(array.shape[2], array.shape[1]) for array in self._arrays]

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Pixels ``(height, width, 3)`` of a rectangle of a level."""
        planes = self._arrays[level][:, y : y + height, x : x + width]
        return np.ascontiguousarray(np.asarray(planes).transpose(1, 2, 0))

    def write(self, level: int, x: int, y: int, pixels: Pixels) -> int:
        """Write ``(height, width, 3)`` pixels over whole chunks; gives their bytes on the disk.

        Returns when the disk has them, so that a power cut takes nothing away.

        Raises
        ------
        OutputError
            If the folder has gone since it was opened, or belongs to another run by now.
        """
        self._check_run()
        height, width = pixels.shape[:2]
        self._arrays[level][:, y : y + height, x : x + width] = pixels.transpose(2, 0, 1)
        files = list(self._chunks(level, x, y, width, height))
        for path in (*files, *{file.parent for file in files}):
            _sync(path)
        return sum(file.stat().st_size for file in files)

    def bytes_of(self, x: int, y: int, width: int, height: int) -> int | None:
        """Bytes on the disk of a rectangle of level 0; None where a chunk is missing."""
        try:
            return sum(file.stat().st_size for file in self._chunks(0, x, y, width, height))
        except FileNotFoundError:
            return None

    def _check_run(self) -> None:
        if self._run is None:
            return
        try:
            found = json.loads((self._path / "zarr.json").read_bytes())["attributes"][KEY]
            same = all(found[key] == value for key, value in self._run.items())
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            raise OutputError(f"Image {self._path} is of another run by now; nothing was written.")

    def _chunks(self, level: int, x: int, y: int, width: int, height: int) -> Iterator[Path]:
        key = self._arrays[level].metadata.encode_chunk_key
        for row in range(y // CHUNK, -(-(y + height) // CHUNK)):
            for column in range(x // CHUNK, -(-(x + width) // CHUNK)):
                yield self._path / str(level) / key((0, row, column))


def _sync(path: Path) -> None:
    folder = path.is_dir()
    with contextlib.suppress(PermissionError) if folder else contextlib.nullcontext():
        handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)  # no folder opens on Windows
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
