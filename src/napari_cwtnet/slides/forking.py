"""What a forked process must not share: file offsets, and locks that nobody there frees."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """What a fork leaves in a state that the child process cannot use."""

    def renew_after_fork(self) -> None:
        """Start afresh in the child, where no other thread exists."""


_KNOWN: WeakSet[Forked] = WeakSet()


def renewed_after_fork(one: Forked) -> None:
    """Have an object renew itself in every process that is forked from now on, while it lives."""
    _KNOWN.add(one)


def _in_child() -> None:
    for one in list(_KNOWN):
        one.renew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
