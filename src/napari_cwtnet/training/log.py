"""The log of a run: one row a validation, as CSV, and for TensorBoard where that is installed."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari_cwtnet.errors import OutputError
from napari_cwtnet.files import written_whole
from napari_cwtnet.training.events import Validation

_HEAD = ("step", "seconds", "psnr", "bicubic", "with_reference", "reference_bicubic", "loss")
_TAGS = {
    "psnr": "PSNR in dB/single-image",
    "bicubic": "PSNR in dB/bicubic",
    "with_reference": "PSNR in dB/cross-scale",
    "reference_bicubic": "PSNR in dB/bicubic of the reference",
    "loss": "loss",
}


class RunLog:
    """``log.csv`` of a run; PSNR in dB, loss as its mean since the row before.

    With TensorBoard the same figures go into the folder ``tensorboard`` beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._board: Any = None

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
                handle.write(_as_csv([_HEAD, row] if fresh else [row]))  # at once: no half row
            self._show(dict(zip(_HEAD, row, strict=True)))
        except OSError as error:
            raise OutputError(f"Cannot write {self.path}: {error.strerror or error}.") from error

    def rows(self) -> list[dict[str, float | None]]:
        """What was logged; None where a figure was not measured."""
        if not self.path.exists():
            return []
        return [
            {name: float(text) if text else None for name, text in zip(_HEAD, row, strict=True)}
            for row in self._whole_rows()
        ]

    def drop_after(self, step: int) -> None:
        """Forget what a run that was killed logged after its checkpoint: it comes again.

        So does a row that a full disk has cut short.
        """
        if not self.path.exists():
            return
        kept = [row for row in self._whole_rows() if int(row[0]) <= step]
        with written_whole(self.path) as partial:
            partial.write_text(_as_csv([_HEAD, *kept]), encoding="utf-8", newline="")

    def _whole_rows(self) -> list[list[str]]:
        with self.path.open(newline="", encoding="utf-8", errors="replace") as handle:
            return [row for row in csv.reader(handle) if _is_whole(row)]

    def close(self) -> None:
        """Write what TensorBoard's writer still holds."""
        if self._board is not None:
            self._board.close()
            self._board = None

    def _show(self, row: dict[str, Any]) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            return
        if self._board is None:
            from torch.utils.tensorboard import SummaryWriter

            folder = self.path.parent / "tensorboard"
            # Of a run that was killed, what comes after its checkpoint comes again.
            self._board = SummaryWriter(str(folder), purge_step=row["step"])
        for name, tag in _TAGS.items():
            if row[name] is not None:
                self._board.add_scalar(tag, row[name], row["step"])


def _is_whole(row: list[str]) -> bool:
    if len(row) != len(_HEAD) or not row[0].isdigit():
        return False
    try:
        for text in filter(None, row):
            float(text)
    except ValueError:
        return False
    return True


def _as_csv(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()
