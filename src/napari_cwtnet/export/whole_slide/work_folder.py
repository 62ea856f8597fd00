"""The folder beside an output in which a long run works, until all of it is there."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from napari_cwtnet.errors import OutputError


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
        self._lock = FileLock(self.path / ".lock", timeout=0, thread_local=False)

    @property
    def journal(self) -> Path:
        """What of the run is done."""
        return self.path / "journal.jsonl"

    @property
    def image(self) -> Path:
        """The OME-Zarr that blocks are written into."""
        return self.path / "image.ome.zarr"

    @property
    def tiff(self) -> Path:
        """The OME-TIFF that is made of it at the end, if one is wanted."""
        return self.path / "image.ome.tif"

    @property
    def unfinished(self) -> bool:
        """Whether a run has begun here and not ended."""
        return self.journal.exists()

    def take(self) -> None:
        """Keep others out until :meth:`give_back`; the folder is made where it is missing.

        Raises
        ------
        OutputError
            If another run is at work in it.
        """
        self.path.mkdir(exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise OutputError(
                f"Output {self.output}: another run is writing it; wait for its end, or choose "
                "another name."
            ) from None

    def give_back(self) -> None:
        """Let others work here; what has not begun leaves nothing behind."""
        begun = self.unfinished
        if not begun:
            with contextlib.suppress(OSError):
                self.clear()  # while nobody else can begin here
        self._lock.release(force=True)
        if not begun:
            with contextlib.suppress(OSError):
                (self.path / ".lock").unlink(missing_ok=True)
                self.path.rmdir()

    def clear(self, *kept: str) -> None:
        """Remove what a killed run left here, but for the lock and what is to be kept."""
        for one in self.path.iterdir():
            if one.name in (".lock", *kept):
                continue
            if one.is_dir():
                shutil.rmtree(one)
            else:
                one.unlink(missing_ok=True)

    def put_in_place(self, new: Path) -> None:
        """Give a finished image of this folder its name; what had that name goes.

        Called once more after a process was killed in it, it goes on where that was.
        """
        before = self.path / "before"
        if self.output.is_dir() and not before.exists():
            self.output.replace(before)
        try:
            new.replace(self.output)
        except OSError:
            if before.exists():
                before.replace(self.output)
            raise

    def remove(self) -> None:
        """The end of the run."""
        self.journal.unlink(missing_ok=True)
        self.give_back()
