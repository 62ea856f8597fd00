"""Several things timed in turns, so that a busy moment of the machine is unfair to none."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall seconds of one thing, over the rounds."""

    median: float
    least: float
    most: float

    def as_dict(self, digits: int = 5) -> dict[str, float]:
        """Seconds by name."""
        return {
            "median_s": round(self.median, digits),
            "least_s": round(self.least, digits),
            "most_s": round(self.most, digits),
        }


@dataclass(frozen=True, slots=True)
class Task:
    """Something to time, and what must be done before and after it, which is not timed."""

    run: Callable[[], object]
    before: Callable[[], object] = lambda: None
    after: Callable[[], object] = lambda: None


Told = Callable[[str, int, int], None]
"""Called with what is measured next, how many are over, and how many there are in all."""


def in_turns(
    tasks: Mapping[str, Task], repeats: int, told: Told | None = None
) -> dict[str, Timing]:
    """Do every task once a round, each round beginning with the next one.

    Parameters
    ----------
    tasks : mapping of str to Task
        What to time. One round that is not counted comes first.
    repeats : int
        Rounds that count, at least 1.
    told : callable, optional
        Told the name of each task before it begins, the tasks over, and those of all rounds.

    Returns
    -------
    dict of str to Timing
    """
    names = list(tasks)
    spent: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repeats + 1):
        first = turn % len(names)
        for place, name in enumerate(names[first:] + names[:first]):
            if told is not None:
                told(name, turn * len(names) + place, (repeats + 1) * len(names))
            tasks[name].before()
            began = time.perf_counter()
            tasks[name].run()
            passed = time.perf_counter() - began
            tasks[name].after()
            if turn > 0:
                spent[name].append(passed)
    return {
        name: Timing(statistics.median(values), min(values), max(values))
        for name, values in spent.items()
    }
