"""The record of a long run: what it is, and what of it is on the disk for good."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveInt,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from napari_cwtnet.errors import OutputError
from napari_cwtnet.export.record import Sha256
from napari_cwtnet.export.whole_slide.blocks import Place, SquaredErrors
from napari_cwtnet.files import append, read_file, written_whole

_VERSION = 2

_TallyName = Annotated[
    str, StringConstraints(pattern="^(background_tiles|float32_tiles|tiles_in_parts)$")
]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Done:
    """A block that is finished."""

    place: tuple[NonNegativeInt, NonNegativeInt]
    bytes: NonNegativeInt
    """On the disk."""
    seconds: _Seconds
    tiles: NonNegativeInt
    """Computed for it, not those that a neighbour had computed before."""
    tally: Mapping[_TallyName, NonNegativeInt]
    """Of the tiles that it owns, those that were not simply computed: background, for one."""
    errors: SquaredErrors | None
    read: Sha256
    """Digest of the slide's pixels that the network was given for the tiles that it owns."""
    chunks: tuple[Sha256, ...]
    """Digests of the pixels that were written, row by row."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a run is."""

    provenance: dict[str, Any]
    output_size: tuple[PositiveInt, PositiveInt]
    side: PositiveInt
    """Of a block."""
    strip: PositiveInt
    slide: Sha256
    """State of the slide's files when the run began."""


@dataclass(frozen=True, slots=True)
class _First(Head):
    journal: Literal[2]


@dataclass(frozen=True, slots=True)
class _Level:
    level: PositiveInt
    pixels: Sha256


@dataclass(frozen=True, slots=True)
class _Lost:
    lost: tuple[NonNegativeInt, NonNegativeInt]


_FIRST = TypeAdapter(_First)
_LINE: TypeAdapter[Done | _Level | _Lost] = TypeAdapter(Done | _Level | _Lost)


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
        content = read_file(path)
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(path, len(whole))
        self.blocks: dict[Place, Done] = {}
        self.levels: dict[int, str] = {}
        """Digests of the levels that are made."""
        number = 0
        try:
            first, *lines = whole.splitlines() or [b""]
            head = _FIRST.validate_json(first)
            self.head = Head(*(getattr(head, name) for name in Head.__dataclass_fields__))
            for number, text in enumerate(lines, start=1):  # noqa: B007
                line = _LINE.validate_json(text)
                if isinstance(line, _Level):
                    self.levels[line.level] = line.pixels
                elif isinstance(line, _Lost):
                    self._forget(line.lost)
                else:
                    self.blocks[line.place] = line
        except ValidationError as error:
            raise OutputError(
                f"Journal {path} is damaged or of another version in line {number + 1}; delete "
                f"the folder {path.parent.name} and start again."
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
        append(self._path, _line(asdict(done)))
        self.blocks[done.place] = done

    def level_done(self, level: int, pixels: str) -> None:
        """Record a level of the pyramid, and the digest of its pixels."""
        append(self._path, _line({"level": level, "pixels": pixels}))
        self.levels[level] = pixels

    def block_lost(self, place: Place) -> None:
        """Record that a block's pixels are not on the disk after all; levels are made anew."""
        append(self._path, _line({"lost": place}))
        self._forget(place)

    def _forget(self, place: Place) -> None:
        self.blocks.pop(place, None)
        self.levels.clear()


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"
