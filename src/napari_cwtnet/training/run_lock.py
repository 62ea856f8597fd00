"""One run at a time in a folder, whichever window, terminal or process it was started from."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from filelock import FileLock, Timeout

from napari_cwtnet.errors import OutputError, TrainingError

LOCK_NAME = ".lock"


class RunLock:
    """The operating system's lock on a run's folder; it ends with the process that holds it.

    The file ``.lock`` stays behind and means nothing by itself, so that a killed run is in
    nobody's way.

    Parameters
    ----------
    folder : Path
        Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = FileLock(folder / LOCK_NAME, timeout=0, thread_local=False)

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._lock.is_locked

    def look_ahead(self) -> None:
        """Refuse, before much work is done, what :meth:`take` would refuse after it.

        A folder that there is not yet is not made, for that work may come to nothing.

        Raises
        ------
        TrainingError
            If another run works in the folder.
        OutputError
            If the folder cannot be written to.
        """
        try:
            if self.folder.exists():
                self.take()
                return
            above = next(path for path in self.folder.absolute().parents if path.exists())
            if not above.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if not os.access(above, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def take(self) -> None:
        """Hold the lock until :meth:`give_back`; the folder is made where it is missing.

        Raises
        ------
        TrainingError
            If another run works in the folder.
        OutputError
            If the folder cannot be written to.
        """
        if self.held:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise TrainingError(
                f"Another run is at work in {self.folder}; wait for it, stop it, or choose another "
                "output folder."
            ) from None
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def give_back(self) -> None:
        """Let others work in the folder."""
        self._lock.release(force=True)


def cannot_write(folder: Path, error: OSError) -> OutputError:
    """The error for a run's folder that cannot be written to."""
    return OutputError(
        f"Cannot write to {folder}: {error.strerror or error}; choose another output."
    )


def is_at_work(folder: Path) -> bool:
    """Whether a run works in a folder now; also where that cannot be found out."""
    lock = RunLock(folder)
    try:
        lock.take()
    except (TrainingError, OutputError):
        return True
    lock.give_back()
    return False
