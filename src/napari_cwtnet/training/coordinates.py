"""Where samples of a dataset are taken: from a list of places."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from napari_cwtnet.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Place:
    """A point of a slide, level-0 pixels, and what the list calls it."""

    x: float
    y: float
    label: str = ""


def read_places(path: Path, slides: list[Path]) -> dict[Path, list[Place]]:
    """Places by slide, from lines ``SLIDE,X,Y[,LABEL]``; a first line of ``slide,…`` is a head.

    Parameters
    ----------
    path : Path
        CSV, UTF-8.
    slides : list of Path
        Named in the list by their file name, with or without its suffix.

    Raises
    ------
    TrainingError
        If the file cannot be read, or a line is not of that form or names no slide that was given.
    """
    by_name = {slide.stem: slide for slide in slides} | {slide.name: slide for slide in slides}
    found: dict[Path, list[Place]] = {slide: [] for slide in slides}
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            lines = list(csv.reader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise TrainingError(f"Coordinates {path} cannot be read: {why}.") from error
    for number, line in enumerate(lines, start=1):
        fields = [field.strip() for field in line]
        if not any(fields) or (number == 1 and fields[0].lower() == "slide"):
            continue
        where = f"Coordinates {path}, line {number}"
        try:
            x, y = float(fields[1]), float(fields[2])
        except (IndexError, ValueError):
            x = y = math.nan
        if not (math.isfinite(x) and math.isfinite(y)):
            raise TrainingError(
                f"{where}: {','.join(line)!r} is not SLIDE,X,Y[,LABEL] in level-0 pixels."
            )
        if fields[0] not in by_name:
            raise TrainingError(
                f"{where}: slide {fields[0]!r} is not among those given; name it on the command "
                "line or take the line out."
            )
        label = fields[3] if len(fields) > 3 else ""
        found[by_name[fields[0]]].append(Place(x, y, label))
    return found
