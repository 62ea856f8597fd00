"""The OME-Zarr that blocks are written into; what is written is on the disk for good."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.errors import OutputError
from napari_cwtnet.export.ome_zarr import WRITTEN
from napari_cwtnet.export.pyramid import CHUNK
from napari_cwtnet.export.record import chunk_digest
from napari_cwtnet.files import is_real_folder, read_file, sync
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.provenance_tags import KEY

Pixels = NDArray[np.uint8]
_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError)
# What zarr raises of its own derives from these, as do the decoders' errors.


def chunks_of(pixels: Pixels) -> tuple[str, ...]:
    """Digests of the chunks of a block ``(height, width, 3)``, row by row."""
    height, width = pixels.shape[:2]
    return tuple(
        chunk_digest(pixels[y : y + CHUNK, x : x + CHUNK])
        for y in range(0, height, CHUNK)
        for x in range(0, width, CHUNK)
    )


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
        If it is not there, on another machine, for one, where that sees other files; or damaged.
    """

    def __init__(self, path: Path, run: Mapping[str, Any] | None = None) -> None:
        import zarr

        self._path, self._run = path, run
        if not is_real_folder(path):
            raise OutputError(
                f"Image {path} is not there; every worker needs the folder of the output, under "
                "the same path."
            )
        try:
            group: Any = zarr.open_group(str(path), mode="r+")
            names = sorted((one.name for one in path.iterdir() if one.name.isdecimal()), key=int)
            with zarr.config.set({f"array.{name}": value for name, value in WRITTEN.items()}):
                self._arrays: list[Any] = [group[name] for name in names]
        except _ERRORS as error:
            raise OutputError(
                f"Image {path} is damaged; delete the folder around it and start again."
            ) from error
        self._group = group

    def settle(self) -> None:
        """Return when the disk has the files that are here now."""
        for path in (self._path, *self._path.rglob("*")):
            sync(path)

    def complete(self, record: Mapping[str, Any]) -> None:
        """Write what is known at the end, and remove what writers left that were killed."""
        self._group.attrs[KEY] = dict(record)
        sync(self._path / "zarr.json")
        for left in self._path.rglob("*.partial"):  # zarr's name for a file not yet whole
            left.unlink()

    @property
    def sizes(self) -> list[Size]:
        """Of the levels, pixels, finest first."""
        return [Size(array.shape[2], array.shape[1]) for array in self._arrays]

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Pixels ``(height, width, 3)`` of a rectangle of a level.

        Raises
        ------
        OutputError
            If a chunk is missing, for all are written, black ones too; or cannot be read.
        """
        try:
            for path in self._chunks(level, x, y, width, height):
                path.stat()
            planes = self._arrays[level][:, y : y + height, x : x + width]
        except _ERRORS as error:
            raise OutputError(
                f"Image {self._path} has lost a chunk of level {level}; resume the run, which "
                "makes it again."
            ) from error
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
            sync(path)
        return sum(file.stat().st_size for file in files)

    def holds(self, x: int, y: int, width: int, height: int, chunks: tuple[str, ...]) -> bool:
        """Whether a rectangle of level 0 has pixels of these digests."""
        try:
            return chunks_of(self.read(0, x, y, width, height)) == chunks
        except OutputError:
            return False

    def is_of(self, run: Mapping[str, Any]) -> bool:
        """Whether the image is of the run of that provenance."""
        try:
            found = json.loads(read_file(self._path / "zarr.json"))["attributes"][KEY]
            return all(found[key] == value for key, value in run.items())
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False

    def _check_run(self) -> None:
        if self._run is not None and not self.is_of(self._run):
            raise OutputError(f"Image {self._path} is of another run by now; nothing was written.")

    def _chunks(self, level: int, x: int, y: int, width: int, height: int) -> Iterator[Path]:
        key = self._arrays[level].metadata.encode_chunk_key
        for row in range(y // CHUNK, -(-(y + height) // CHUNK)):
            for column in range(x // CHUNK, -(-(x + width) // CHUNK)):
                yield self._path / str(level) / key((0, row, column))


class LevelView:
    """A level as ``(height, width, 3)``, of which the chunk looked at last is in memory."""

    def __init__(self, store: Store, level: int) -> None:
        width, height = store.sizes[level]
        self.shape = (height, width, 3)
        self._store, self._level = store, level
        self._place: tuple[int, int] | None = None
        self._chunk: Pixels = np.zeros((0, 0, 3), np.uint8)

    def __getitem__(self, place: tuple[slice, slice], /) -> Pixels:
        """The pixels of a rectangle within one chunk; cut at the image's edge."""
        top, left = place[0].start, place[1].start
        y, x = top // CHUNK * CHUNK, left // CHUNK * CHUNK
        if self._place != (y, x):
            height, width = min(CHUNK, self.shape[0] - y), min(CHUNK, self.shape[1] - x)
            self._chunk = self._store.read(self._level, x, y, width, height)
            self._place = (y, x)
        return self._chunk[top - y : place[0].stop - y, left - x : place[1].stop - x]
