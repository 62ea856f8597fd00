"""A Zarr's files, read only if they are files and decode to no more than a chunk may be."""

from __future__ import annotations

import bz2
import copy
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
from zarr.abc.store import ByteRequest, RangeByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, WrapperStore, ZipStore

from napari_cwtnet.slides.decode_budget import check_decode, check_header

_METADATA = {"zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata"}
_STEP = 2**20
_MOST_BY_DEFLATE = 1032
_ZSTD = b"\x28\xb5\x2f\xfd"
_ROOM = 2**16
"""Bytes by which a chunk may be longer than its samples: checksums and headers of filters."""

COMPRESSORS = {"blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd"}


@dataclass(frozen=True, slots=True)
class Chunks:
    """What the chunks of one array may be.

    Parameters
    ----------
    nbytes : int
        Of one chunk, decoded.
    compressor : str or None
        The one by which it is compressed.
    in_shard : int
        Chunks in a file; 0 where each has a file of its own.
    """

    nbytes: int
    compressor: str | None
    in_shard: int = 0


class GuardedStore(WrapperStore[Store]):  # type: ignore[misc]  # zarr is not typed here
    """A folder or zip file that gives no more than it should.

    Parameters
    ----------
    store : Store
        A `LocalStore` or a `ZipStore`.
    name : str
        For messages.
    arrays : dict, optional
        What is known of the arrays, by their path; filled in by whoever opens them.
    """

    _store: Any

    def __init__(
        self, store: Store, name: str = "", arrays: dict[str, Chunks] | None = None
    ) -> None:
        super().__init__(store)
        self.name = name
        self.arrays = {} if arrays is None else arrays

    def reopen(self) -> None:
        """Open a zip file again: processes that share it share its offset, too."""
        if isinstance(self._store, ZipStore):
            self._of_parent = self._store  # closing it would wait for the parent's threads
            self._store = copy.copy(self._store)  # which opens it

    def _with_store(self, store: Store) -> GuardedStore:
        return type(self)(store, self.name, self.arrays)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """As of any store.

        Raises
        ------
        SlideError
            If the piece is larger than it may be, or decodes to more.
        OSError
            If it is a pipe or a device.
        """
        size = self._size(key)
        if key.rpartition("/")[2] in _METADATA:
            check_header(self.name, f"metadata in {key}", size)
            return await super().get(key, prototype, byte_range)
        if isinstance(byte_range, RangeByteRequest):
            size = byte_range.end - byte_range.start
        check_decode(self.name, f"the piece {key}", size)
        found = await super().get(key, prototype, byte_range)
        array = self._array(key)
        if found is not None and array is not None:
            self._check(key, found.to_bytes(), array, byte_range)
        return found

    def _array(self, key: str) -> Chunks | None:
        path = key
        while path:
            path = path.rpartition("/")[0]
            if path in self.arrays:
                return self.arrays[path]
        return self.arrays.get("")

    def _check(self, key: str, data: bytes, array: Chunks, byte_range: ByteRequest | None) -> None:
        pieces: Iterable[bytes] = (data,)
        if array.in_shard:
            if byte_range is None:
                pieces = _pieces(data, array.in_shard)
            elif not isinstance(byte_range, RangeByteRequest):
                return  # the index at the shard's end
        most = array.nbytes + _ROOM
        if any(exceeds(piece, array.compressor, most) for piece in pieces):
            raise ValueError(f"{key} decodes to more than the {array.nbytes} bytes of a chunk")

    def _size(self, key: str) -> int:
        if isinstance(self._store, ZipStore):
            try:
                return int(self._store._zf.getinfo(key).file_size)
            except (AttributeError, KeyError):
                return 0
        assert isinstance(self._store, LocalStore)
        try:
            found = os.stat(self._store.root / key)  # noqa: PTH116
        except (OSError, ValueError):
            return 0
        # A pipe or a device would be waited for.
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise OSError(f"{key} is not a file")
        return found.st_size


def open_store(path: Path) -> GuardedStore:
    """The store of a folder, or of a zip file.

    Raises
    ------
    OSError, zipfile.BadZipFile
        If it cannot be opened.
    """
    if path.is_dir():
        return GuardedStore(LocalStore(path, read_only=True), path.name)
    with zipfile.ZipFile(path) as archive:
        check_header(path.name, "names", 64 * len(archive.infolist()))
    return GuardedStore(ZipStore(path, mode="r"), path.name)


def exceeds(data: bytes, compressor: str | None, most: int) -> bool:
    """Whether something compressed holds more than so many bytes; never by unpacking more.

    Parameters
    ----------
    data : bytes
        The whole of it.
    compressor : str or None
        By its name in Zarr.
    most : int
        Bytes.

    Examples
    --------
    >>> exceeds(zlib.compress(bytes(3_000_000)), "zlib", 2_999_999)
    True
    >>> exceeds(zlib.compress(bytes(3_000_000)), "zlib", 3_000_000)
    False
    """
    if compressor is None:
        return len(data) > most
    if compressor in ("zlib", "gzip") and len(data) * _MOST_BY_DEFLATE <= most:
        return False
    stated = _STATED.get(compressor)
    if stated is not None:
        size = stated(data)
        if size is not None:
            return size > most
    if compressor == "zstd":
        return _zstd_exceeds(data, most)
    opener = _STREAMS.get(compressor)
    return opener is not None and _stream_exceeds(opener, data, most)


def _stream_exceeds(opener: Callable[[], Any], data: bytes, most: int) -> bool:
    total = 0
    while data:
        stream = opener()
        try:
            total += len(stream.decompress(data, _STEP))
            while not stream.eof and total <= most:
                rest = getattr(stream, "unconsumed_tail", b"")
                part = stream.decompress(rest, _STEP)
                if not part and not rest:
                    break
                total += len(part)
        except (OSError, EOFError, zlib.error, lzma.LZMAError):
            return total > most  # the decoder itself says what is wrong
        if total > most:
            return True
        data = stream.unused_data if stream.eof else b""
    return False


def _zstd_exceeds(data: bytes, most: int) -> bool:
    """Of a frame that does not state its size."""
    try:
        imagecodecs.zstd_decode(data, out=most)
    except (RuntimeError, ValueError, MemoryError) as error:
        return "too small" in str(error)
    return False


def _zstd_size(data: bytes) -> int | None:
    if data[:4] != _ZSTD or len(data) < 5:
        return None
    flag, single = data[4] >> 6, data[4] >> 5 & 1
    width = (1 if single else 0, 2, 4, 8)[flag]
    start = 5 + (not single) + (0, 1, 2, 4)[data[4] & 3]
    if not width:
        return None
    return int.from_bytes(data[start : start + width], "little") + (256 if width == 2 else 0)


def _blosc_size(data: bytes) -> int:
    return int.from_bytes(data[4:8], "little")


def _lz4_size(data: bytes) -> int:
    return int.from_bytes(data[:4], "little")


_STATED: Mapping[str, Callable[[bytes], int | None]] = {
    "zstd": _zstd_size, "blosc": _blosc_size, "lz4": _lz4_size,
}  # fmt: skip
_STREAMS: Mapping[str, Callable[[], Any]] = {
    "zlib": lambda: zlib.decompressobj(47), "gzip": lambda: zlib.decompressobj(47),
    "bz2": bz2.BZ2Decompressor, "lzma": lzma.LZMADecompressor,
}  # fmt: skip


def _pieces(shard: bytes, count: int) -> Iterator[bytes]:
    """The chunks of a whole shard, by the index at its end."""
    try:
        numbers = struct.unpack_from(f"<{2 * count}Q", shard, len(shard) - 16 * count - 4)
    except struct.error:
        return
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        if start + length <= len(shard):
            yield shard[start : start + length]
