"""What became of the tiles of a run: how many were not simply computed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from napari_cwtnet.enhancement.engine import TileResult


@dataclass(slots=True)
class Tally:
    """Counts of tiles; one that was fetched from memory counts as it came about."""

    background: int = 0
    """Bicubic, for nothing is there."""
    repeated: int = 0
    """Of float32, for half precision failed."""
    in_parts: int = 0
    """Computed in parts, for want of memory."""

    def add(self, done: TileResult) -> None:
        """Count a tile."""
        self.background += done.background
        self.repeated += done.repeated
        self.in_parts += done.parts > 1

    def as_dict(self) -> dict[str, int]:
        """For the provenance: what there is any of."""
        counts = {
            "background_tiles": self.background,
            "float32_tiles": self.repeated,
            "tiles_in_parts": self.in_parts,
        }
        return {name: count for name, count in counts.items() if count}

    @property
    def words(self) -> str:
        """For people, after the number of tiles; empty where all were simply computed."""
        parts: Iterable[str] = (
            f"{self.background} of them background" if self.background else "",
            f"{self.repeated} in float32, for half precision failed" if self.repeated else "",
            f"{self.in_parts} in parts, for memory is short" if self.in_parts else "",
        )
        return "".join(f", {part}" for part in parts if part)
