"""What ``bench`` is at, in lines on stderr: a run takes minutes."""

from __future__ import annotations

import sys
import time


def say(words: str) -> None:
    """A line on stderr, at once."""
    print(words, file=sys.stderr, flush=True)


class Rounds:
    """Says which round it is and what is measured in it, a line for each model or part.

    Parameters
    ----------
    rounds : int
        Those that count; one more comes first.
    joint : str
        Between the name of a model or part and what of it is timed.
    """

    def __init__(self, rounds: int, joint: str) -> None:
        self._rounds, self._joint = rounds + 1, joint
        self._began = time.monotonic()
        self._said: tuple[int, str] | None = None

    def __call__(self, name: str, done: int, total: int) -> None:
        """Task ``name`` begins, when ``done`` of ``total`` are over."""
        turn = done * self._rounds // total
        group = name.partition(self._joint)[0]
        if (turn, group) == self._said:
            return
        self._said = turn, group
        if turn == 0:
            say(f"first round, which is not counted: {group}")
        else:
            left = (time.monotonic() - self._began) * (total - done) / done
            say(f"round {turn} of {self._rounds - 1}, {left / 60:.1f} min left: {group}")
