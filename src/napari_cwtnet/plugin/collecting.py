"""Garbage collection out of the window's way while a thread is at work.

A full pass looks at every object that there is, and stops all threads meanwhile: a tenth of a
second and more once napari and torch are loaded. Making an optimiser imports hundreds of modules,
which calls for two such passes.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

_lock = threading.Lock()
_at_work = 0


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Collect nothing within the block; for a few seconds in which modules are imported."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextlib.contextmanager
def short_collections() -> Iterator[None]:
    """Within the block, passes leave alone what was there before it, so that they are short."""
    global _at_work  # noqa: PLW0603 - the collector is the process's
    with _lock:
        _at_work += 1
        gc.freeze()
    try:
        yield
    finally:
        with _lock:
            _at_work -= 1
            if _at_work == 0:
                gc.unfreeze()
