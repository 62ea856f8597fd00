"""Who may use the device now: what somebody waits for comes first, training fills the rest.

An enhancement, a look inside and an export never wait: they begin beside the training step at
hand, which takes a second at most, and no further step begins before they are done. So they cost
training no more than their own time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import torch
from cachetools import LRUCache

from napari_cwtnet.enhancement import (
    Engine,
    GridMemory,
    choose_device,
    free_cores,
    release_memory,
)
from napari_cwtnet.enhancement.devices import compute_with
from napari_cwtnet.enhancement.memory import LARGEST_TILES
from napari_cwtnet.model import load_model


class DeviceTurns:
    """Counts those who come first; any thread may ask."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._first = 0

    @property
    def taken(self) -> bool:
        """Whether somebody who comes first is at work."""
        return self._first > 0

    @contextlib.contextmanager
    def first(self) -> Iterator[None]:
        """Within the block, whoever :meth:`wait` s goes on waiting."""
        with self._changed:
            self._first += 1
        try:
            yield
        finally:
            with self._changed:
                self._first -= 1
                self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait, for ``seconds`` at most, until nobody comes first; whether it has come to that."""
        with self._changed:
            return self._changed.wait_for(lambda: self._first == 0, seconds)


TURNS = DeviceTurns()
"""Of this process: all viewers and docks share the device."""


_KEPT = 3


class Engines:
    """Engines by model file, device and precision; the least recently used goes first.

    Attributes
    ----------
    grids : GridMemory
        Of the views that they computed.
    """

    def __init__(self) -> None:
        self.grids = GridMemory()
        self._lock = threading.Lock()
        self._engines: LRUCache[tuple[Path, int, str, str], Engine] = LRUCache(_KEPT)

    def get(self, path: Path, device: str, dtype: str = "auto") -> Engine:
        """The engine of a weights file on a device; loads it where needed, so not for the GUI.

        Raises
        ------
        ModelError
            If the weights cannot be loaded.
        RequestError
            If there is no such device or precision.
        """
        leave_a_core_to_the_window()
        name = str(choose_device(device))
        key = (path, path.stat().st_mtime_ns if path.exists() else 0, name, dtype)
        with self._lock:
            engine = self._engines.get(key)
        if engine is None:
            engine = Engine(
                load_model(path), name, dtype=dtype
            )  # outside: the window may want to release
            with self._lock:
                self._engines[key] = engine
        return engine

    def release(self) -> None:
        """Let go of every network and finished tile; one at work keeps its own until it ends."""
        with self._lock:
            self._engines.clear()
        LARGEST_TILES.clear()  # there may be room now
        release_memory()


def leave_a_core_to_the_window() -> None:
    """Limit torch's threads in the thread that calls, as each that computes has to before it."""
    compute_with(min(torch.get_num_threads(), free_cores(leave=1)))
