"""The log of a run: one row a validation, as CSV."""

from __future__ import annotations

import csv
from pathlib import Path

from napari_cwtnet.errors import OutputError
from napari_cwtnet.training.events import Validation

_HEAD = ("step", "seconds", "psnr", "bicubic", "with_reference", "reference_bicubic", "loss")


class RunLog:
    """``log.csv`` of a run; PSNR in dB, loss as its mean since the row before."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, event: Validation, seconds: float, loss: float | None) -> None:
        """Write a row.

        Raises
        ------
        OutputError
            If the file cannot be written to.
        """
        row = (
            event.step,
            round(seconds, 1),
            event.psnr,
            event.psnr_bicubic,
            event.psnr_with_reference,
            event.psnr_reference_bicubic,
            loss,
        )
        fresh = not self.path.exists()
        try:
            with self.path.open("a", newline="", encoding="utf-8") as handle:
                csv.writer(handle).writerows([_HEAD, row] if fresh else [row])
        except OSError as error:
            raise OutputError(f"Cannot write {self.path}: {error.strerror or error}.") from error

    def drop_after(self, step: int) -> None:
        """Forget what a run that was killed logged after its checkpoint: it comes again."""
        if not self.path.exists():
            return
        with self.path.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.reader(handle))[1:]
        kept = [row for row in rows if row and row[0].isdigit() and int(row[0]) <= step]
        with self.path.open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle).writerows([_HEAD, *kept])
