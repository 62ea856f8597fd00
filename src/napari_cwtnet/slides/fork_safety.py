"""A file read at places, from any thread and any process that is forked."""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet

from tifffile import TiffFile

from napari_cwtnet.errors import SlideError


class Forked(Protocol):
    """What a fork leaves in a state that the child process cannot use."""

    def renew_after_fork(self) -> None:
        """Start afresh in the child, where no other thread exists."""


_KNOWN: WeakSet[Forked] = WeakSet()


def renewed_after_fork(one: Forked) -> None:
    """Have an object renew itself in every process that is forked from now on, while it lives."""
    _KNOWN.add(one)


def _in_child() -> None:
    for one in list(_KNOWN):
        one.renew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


class SharedFile:
    """The bytes of an open TIFF file.

    Forked processes share the offset of a file handle, so that one's seek moves the other's read:
    reading at a place needs no offset.

    Parameters
    ----------
    file : TiffFile
        Open; closed with this.
    name : str
        For messages.
    """

    def __init__(self, file: TiffFile, name: str) -> None:
        self._file, self._name = file, name
        self._lock = threading.Lock()
        renewed_after_fork(self)

    def renew_after_fork(self) -> None:
        """Have a lock that no thread of another process holds."""
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return int(self._file.filehandle.size)

    def read(self, offset: int, count: int) -> bytes:
        """Bytes from an offset on; fewer where the file ends.

        Raises
        ------
        SlideError
            If the file is closed.
        OSError
            If the system cannot read it.
        """
        handle = self._file.filehandle
        # Held while reading: a file that is opened meanwhile could get the number of a closed one.
        with self._lock:
            if handle.closed:
                raise SlideError(f"Slide {self._name!r} is closed; open it again to read.")
            if not hasattr(os, "pread"):  # Windows, which does not fork either
                handle.seek(offset)
                return bytes(handle.read(count))
            parts = bytearray()
            while len(parts) < count:
                part = os.pread(handle.fileno(), count - len(parts), offset + len(parts))
                if not part:
                    break
                parts += part
            return bytes(parts)

    def close(self) -> None:
        """Let go of the file, after the read that is under way."""
        with self._lock:
            self._file.close()
