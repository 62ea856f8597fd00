"""The record of a long run: what it is, and what of it is on the disk for good."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_cwtnet.errors import OutputError
from napari_cwtnet.export.whole_slide.blocks import Place, SquaredErrors
from napari_cwtnet.files import written_whole

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Done:
    """A block that is finished."""

    place: Place
    bytes: int
    """On the disk."""
    seconds: float
    tiles: int
    """Computed for it, not those that a neighbour had computed before."""
    tally: Mapping[str, int]
    """Of the tiles that it owns, those that were not simply computed: background, for one."""
    errors: SquaredErrors | None

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> Done:
        """From a line of the journal."""
        column, row = line["place"]
        errors = None if line["errors"] is None else SquaredErrors(**line["errors"])
        return cls(**{**line, "place": (column, row), "errors": errors})


@dataclass(frozen=True, slots=True)
class Head:
    """What a run is."""

    provenance: Mapping[str, Any]
    output_size: tuple[int, int]
    side: int
    """Of a block."""
    strip: int


class Journal:
    """One line for the run, and one for each part of it that is finished.

    Parameters
    ----------
    path : Path
        A file that :meth:`begin` made. A line that a killed process left half-written is dropped.

    Raises
    ------
    OutputError
        If the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(path, len(whole))
        self.blocks: dict[Place, Done] = {}
        self.levels: set[int] = set()
        number = 0
        try:
            first, *lines = whole.splitlines()
            head = json.loads(first)
            if head.pop("journal") != _VERSION:
                raise ValueError("version")
            self.head = Head(**head | {"output_size": tuple(head["output_size"])})
            for number, text in enumerate(lines, start=1):  # noqa: B007
                line = json.loads(text)
                if "level" in line:
                    self.levels.add(int(line["level"]))
                elif "lost" in line:
                    column, row = line["lost"]
                    self._forget((column, row))
                else:
                    done = Done.of(line)
                    self.blocks[done.place] = done
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise OutputError(
                f"Journal {path} is damaged or of another version in line {number + 1}; delete "
                f"the folder {path.parent.name} and begin anew."
            ) from error

    @staticmethod
    def begin(path: Path, head: Head) -> Journal:
        """A new journal, whole or not at all."""
        with written_whole(path) as partial:
            partial.write_bytes(_line({"journal": _VERSION} | asdict(head)))
        return Journal(path)

    @property
    def tally(self) -> dict[str, int]:
        """Of all blocks that are done, by name, in the same order however they came."""
        total: Counter[str] = Counter()
        for done in self.blocks.values():
            total.update(done.tally)
        return dict(sorted(total.items()))

    def block_done(self, done: Done) -> None:
        """Record a block, whose pixels must be on the disk by now."""
        self._append(asdict(done))
        self.blocks[done.place] = done

    def level_done(self, level: int) -> None:
        """Record a level of the pyramid."""
        self._append({"level": level})
        self.levels.add(level)

    def block_lost(self, place: Place) -> None:
        """Record that a block's pixels are not on the disk after all; levels are made anew."""
        self._append({"lost": place})
        self._forget(place)

    def _forget(self, place: Place) -> None:
        self.blocks.pop(place, None)
        self.levels.clear()

    def _append(self, values: Mapping[str, Any]) -> None:
        with self._path.open("ab") as file:
            file.write(_line(values))
            file.flush()
            os.fsync(file.fileno())


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"
