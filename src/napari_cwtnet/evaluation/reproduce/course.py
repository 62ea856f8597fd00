"""What is said while a table is done: which row of how many it is, and how long it will take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from napari_cwtnet.evaluation.reproduce.experiment import Row

_SHORT, _LONG = 60.0, 5400.0


@dataclass(frozen=True, slots=True)
class Place:
    """One row at a scale with a seed: what stands in one cell of a table."""

    row: Row
    scale: int
    seed: int

    def __str__(self) -> str:
        """As it is told; what is not trained has no seed."""
        seed = "" if self.row.changes is None else f", seed {self.seed}"
        return f"{self.row.name} ×{self.scale}{seed}"


class Course:
    """Puts table, row and time left around what is said of the work at one place after another.

    Parameters
    ----------
    table : str
        Its number, as in the paper.
    places : sequence of Place
        All that there is to do, in this order.
    is_undone : callable
        Whether the training of a place is still to be done.
    say : callable
        Takes the words.
    expected : float, optional
        Seconds of one training, where the budget says so.
    """

    def __init__(
        self,
        table: str,
        places: Sequence[Place],
        is_undone: Callable[[Place], bool],
        say: Callable[[str], None],
        expected: float | None = None,
    ) -> None:
        self._table, self._places = table, places
        self._is_undone, self._say, self._expected = is_undone, say, expected
        self._took: dict[tuple[str, int], float] = {}
        self._number = 0
        self._began = 0.0
        self._trains = False

    def begin(self, number: int) -> None:
        """The work at a place begins, counted from 0; that at the one before it is over."""
        now = time.monotonic()
        if self._trains:
            before = self._places[self._number]
            self._took[before.row.name, before.scale] = now - self._began
        self._number, self._began = number, now
        self._trains = self._is_undone(self._places[number])

    def __call__(self, words: str) -> None:
        """Say it of the place at hand."""
        seconds = self._seconds_left()
        left = "" if seconds is None else f"; about {_duration(seconds)} left in all"
        number = f"run {self._number + 1} of {len(self._places)}"
        self._say(f"{self._table}, {number}: {self._places[self._number]}: {words}{left}")

    def _seconds_left(self) -> float | None:
        """None while no training has told how long one takes, and where none is left."""
        mean = statistics.mean(self._took.values()) if self._took else self._expected
        if mean is None:
            return None
        own, *later = self._places[self._number :]
        whole = [
            self._took.get((place.row.name, place.scale), mean)  # as with another seed
            for place in later
            if self._is_undone(place)
        ]
        if self._trains:
            usual = self._took.get((own.row.name, own.scale), mean)
            whole.append(max(0.0, usual - (time.monotonic() - self._began)))
        return sum(whole) or None


def _duration(seconds: float) -> str:
    if seconds < _SHORT:
        return "a minute"
    return f"{seconds / 3600:.1f} h" if seconds > _LONG else f"{seconds / 60:.1f} min"
