"""What a run's folder says of the run, read without its tensors and without locking it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from safetensors import SafetensorError, safe_open

from napari_cwtnet.errors import OutputError, TrainingError
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
        with safe_open(last, framework="pt") as archive:
            metadata = archive.metadata() or {}
        recipe = Recipe.model_validate_json(metadata["recipe"])
        progress = json.loads(metadata["progress"])
        step, seconds = int(progress["step"]), float(progress["seconds"])
        kept = float(progress.get("validation_seconds", 0.0))
        measured = int(progress.get("measured", step))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"Checkpoint {last} cannot be read: {' '.join(str(error).split())[:200]}; "
            "choose another run."
        ) from error
    share = step / recipe.steps
    if recipe.minutes is not None:
        over = seconds + kept >= 60 * recipe.minutes  # as much is kept for the last measurement
        share = 1.0 if over else max(share, seconds / (60 * recipe.minutes))
    if measured != step:
        share = min(share, 0.99)
    return RunFolder(folder, recipe, step, min(1.0, share))


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
