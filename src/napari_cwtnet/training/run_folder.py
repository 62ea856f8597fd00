"""What a run's folder says of the run, read without its tensors and without locking it."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import platformdirs
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError
from safetensors import SafetensorError, safe_open

from napari_cwtnet.errors import OutputError, TrainingError
from napari_cwtnet.files import (
    append,
    make_and_remove,
    read_file,
    refuse_link,
    refuse_pipe,
    written_whole,
)
from napari_cwtnet.training.events import Validation
from napari_cwtnet.training.recipe import Recipe, load_recipe

FILES = ("last.safetensors", "recipe.yaml", "log.csv")
"""Any of them shows that there is a run."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run that can be taken up."""

    path: Path
    recipe: Recipe
    step: int
    share: float
    """How much of the budget is used, 0..1; 1 is a run that has nothing left to do."""


_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Decibels = Annotated[float, Field(ge=-math.inf)]  # no NaN


class Progress(BaseModel):
    """What a run's state says besides its tensors; a file that was edited may say anything."""

    model_config = ConfigDict(frozen=True)

    step: NonNegativeInt
    seconds: _Seconds
    validation_seconds: _Seconds = 0.0
    """Of the last validation; as much of a time budget is kept for the next one."""
    measured: Annotated[int, Field(ge=-1)] | None = None
    """Step at which the weights were last measured; None where an older state does not say it."""
    best_psnr: _Decibels
    best_by_mode: tuple[_Decibels, _Decibels | None] | None = None
    start_psnr: tuple[_Decibels, _Decibels | None] | None = None
    generator: dict[str, Any]
    adam_steps: dict[str, _Seconds] = {}
    discriminator_steps: dict[str, _Seconds] = {}


def read_progress(metadata: dict[str, str]) -> Progress:
    """The progress in the metadata of a run's state.

    Raises
    ------
    ValueError
        If it is missing or not such.
    """
    try:
        return Progress.model_validate(json.loads(metadata["progress"]))
    except KeyError:
        raise ValueError("progress is missing") from None
    except RecursionError:
        raise ValueError("progress is nested too deep") from None


def in_words(error: Exception) -> str:
    """What is wrong with a file, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'all'}: {first['msg']}"
    return " ".join(str(error).split())[:200] or type(error).__name__


def user_runs_folder() -> Path:
    """Where runs are kept that were given no folder; ``CWTNET_RUNS`` overrides it."""
    override = os.environ.get("CWTNET_RUNS")
    return (
        Path(override) if override else Path(platformdirs.user_data_dir("napari-cwtnet")) / "runs"
    )


def holds_a_run(folder: Path) -> bool:
    """Whether a new run must not begin in the folder.

    Raises
    ------
    OutputError
        If the folder cannot be looked into, or there cannot be one of that name.
    """
    return file_of_a_run(folder) is not None


def file_of_a_run(folder: Path) -> str | None:
    """Name of a file that shows that there is a run in the folder; None where there is none.

    Raises
    ------
    OutputError
        If the folder cannot be looked into, or there cannot be one of that name.
    """
    try:
        return next((name for name in FILES if (folder / name).exists()), None)
    except OSError as error:
        raise OutputError(
            f"Folder {folder} cannot be used: {error.strerror or error}; choose another."
        ) from error


def read_run(folder: Path) -> RunFolder:
    """The run in a folder, as it was last saved.

    Raises
    ------
    TrainingError
        If there is none, or it cannot be read.
    """
    last = folder / "last.safetensors"
    if not (folder / "recipe.yaml").exists():
        raise TrainingError(
            f"Folder {folder} holds no run (recipe.yaml is missing); choose another."
        )
    if not last.exists():  # it ended before the start model was measured
        return RunFolder(folder, load_recipe(folder / "recipe.yaml"), 0, 0.0)
    try:
        refuse_pipe(last)
        with safe_open(last, framework="pt") as archive:
            metadata = archive.metadata() or {}
        recipe = Recipe.model_validate_json(metadata.get("recipe", ""))
        known = read_progress(metadata)
    except (SafetensorError, OSError, ValueError) as error:
        raise TrainingError(
            f"Checkpoint {last} cannot be read: {in_words(error)}; choose another run."
        ) from error
    share = known.step / recipe.steps
    if recipe.minutes is not None:
        over = known.seconds + known.validation_seconds >= 60 * recipe.minutes
        share = 1.0 if over else max(share, known.seconds / (60 * recipe.minutes))
    if known.measured not in (None, known.step):
        share = min(share, 0.99)
    return RunFolder(folder, recipe, known.step, min(1.0, share))


def unfinished_runs(parent: Path, most: int = 10) -> list[RunFolder]:
    """Runs in the folders of ``parent`` that have something left to do, the latest first."""
    if not parent.is_dir():
        return []
    folders = [path for path in parent.iterdir() if (path / "recipe.yaml").exists()]
    folders.sort(key=_last_touched, reverse=True)
    found: list[RunFolder] = []
    for folder in folders:
        try:
            run = read_run(folder)
        except TrainingError:
            continue
        if run.share < 1:
            found.append(run)
        if len(found) == most:
            break
    return found


def _last_touched(folder: Path) -> float:
    paths = [folder / name for name in FILES]
    return max((path.stat().st_mtime for path in paths if path.exists()), default=0.0)


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
            append(self.path, _as_csv([_HEAD, row] if fresh else [row]).encode())
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
        text = read_file(self.path).decode(errors="replace")
        rows = (line.split(",") for line in text.splitlines())  # nothing in it is quoted
        return [row for row in rows if _is_whole(row)]

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
    step = row[0]
    if len(row) != len(_HEAD) or not (step.isascii() and step.isdigit() and len(step) < 16):
        return False
    try:
        return not any(math.isnan(float(text)) for text in row if text)
    except ValueError:
        return False


def _as_csv(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


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
        """Refuse, before much work is done, what :meth:`acquire` would refuse after it.

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
                self.acquire()
                make_and_remove(self.folder / LOCK_NAME)
            else:
                make_and_remove(self.folder)
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def acquire(self) -> None:
        """Hold the lock until :meth:`release`; the folder is made where it is missing.

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
            refuse_link(self.folder / LOCK_NAME)
            self._lock.acquire()
        except Timeout:
            raise TrainingError(
                f"Another run is using {self.folder}; wait for it, stop it, or choose another "
                "output folder."
            ) from None
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def release(self) -> None:
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
        lock.acquire()
    except (TrainingError, OutputError):
        return True
    lock.release()
    return False
