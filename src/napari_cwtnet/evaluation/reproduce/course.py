"""What is said while a table is done: which row of how many it is, and how long it will take."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from napari_cwtnet.evaluation.reproduce.experiment import Row

_SHORT, _LONG = 90.0, 5400.0


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


@dataclass(frozen=True, slots=True)
class Training:
    """What is known of the training behind a place; one may be behind several."""

    folder: str
    seconds: float | None
    """That it took; None while it is not done."""


class Course:
    """Puts table, row and time left around what is said of the work at one place after another.

    Parameters
    ----------
    table : str
        Its number, as in the paper.
    places : sequence of Place
        All that there is to do, in this order.
    training_of : callable
        The `Training` behind a place; None where there is none to be done.
    say : callable
        Takes the words.
    expected : float, optional
        Seconds of one training, where the budget says so.
    """

    def __init__(
        self,
        table: str,
        places: Sequence[Place],
        training_of: Callable[[Place], Training | None],
        say: Callable[[str], None],
        expected: float | None = None,
    ) -> None:
        self.table, self._places = table, places
        self._training_of, self._say, self._expected = training_of, say, expected
        self._number = 0

    @property
    def place(self) -> Place:
        """The one at hand."""
        return self._places[self._number]

    def begin(self, number: int) -> None:
        """The work at a place begins, counted from 0; that at the one before it is over."""
        self._number = number

    def __call__(self, words: str, own_left: float | None = None) -> None:
        """Say it of the place at hand, whose training takes ``own_left`` more seconds if known."""
        seconds = self._seconds_left(own_left)
        left = "" if seconds is None else f"; about {time_left(seconds)} of training left in all"
        number = f"run {self._number + 1} of {len(self._places)}"
        self._say(f"{self.table}, {number}: {self.place}: {words}{left}")

    def _seconds_left(self, own_left: float | None) -> float | None:
        """None while no training has told how long one takes, and where none is left."""
        took: dict[tuple[str, int], float] = {}
        undone: dict[str, Place] = {}
        for number, place in enumerate(self._places):
            training = self._training_of(place)
            if training is not None and training.seconds is not None:
                took[place.row.name, place.scale] = training.seconds
            elif training is not None and number >= self._number:
                undone.setdefault(training.folder, place)
        mean = statistics.mean(took.values()) if took else self._expected
        if mean is None:
            return None
        return (
            sum(
                own_left
                if place is self.place and own_left is not None
                else took.get((place.row.name, place.scale), mean)  # as with another seed
                for place in undone.values()
            )
            or None
        )


def time_left(seconds: float) -> str:
    """Seconds, rounded up, below a minute and a half; else minutes or hours.

    >>> time_left(4.2), time_left(100), time_left(9000)
    ('5 s', '1.7 min', '2.5 h')
    """
    if seconds < _SHORT:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 3600:.1f} h" if seconds > _LONG else f"{seconds / 60:.1f} min"
