"""Who may use the device now, and the networks and tiles that all docks share.

An enhancement, an inspection and an export never wait: they begin beside the current training
step, which takes a second at most, and training begins no further step before they are done. So
they cost training no more than their own time.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from cachetools import LRUCache

from napari_cwtnet.enhancement import (
    Engine,
    GridMemory,
    free_cores,
    full_device_name,
    release_memory,
)
from napari_cwtnet.enhancement.devices import compute_with
from napari_cwtnet.enhancement.engine import CACHE_BYTES, TileCache
from napari_cwtnet.enhancement.memory import LARGEST_TILES
from napari_cwtnet.model import load_model


class DeviceArbiter:
    """Counts those who have priority; any thread may ask."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    @property
    def taken(self) -> bool:
        """Whether somebody who has priority is at work."""
        return self._count > 0

    @contextlib.contextmanager
    def priority(self) -> Iterator[None]:
        """Within the block, whoever calls :meth:`wait` goes on waiting."""
        with self._changed:
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds`` until nobody has priority; whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, seconds)


ARBITER = DeviceArbiter()
"""Of this process: all viewers and docks share the device."""


class InUse:
    """Counts who works with a file; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Path] = Counter()

    @contextlib.contextmanager
    def by(self, *paths: Path) -> Iterator[None]:
        """Within the block, these are in use."""
        with self._lock:
            self._counts.update(paths)
        try:
            yield
        finally:
            with self._lock:
                self._counts.subtract(paths)

    def __contains__(self, path: Path) -> bool:
        return self._counts[path] > 0


MODELS_IN_USE = InUse()
"""Weights files that something at work computes with."""


_KEPT = 3


class EnginePool:
    """Engines by model file, device and precision; the least recently used goes first.

    All of them keep their tiles in one memory with one budget.

    Attributes
    ----------
    grids : GridMemory
        Of the views that they computed.
    """

    def __init__(self) -> None:
        self.grids = GridMemory()
        self._tiles = TileCache(CACHE_BYTES)
        self._lock = threading.Lock()
        self._engines: LRUCache[tuple[Path, int, str, str], Engine] = LRUCache(_KEPT)

    def __len__(self) -> int:
        return len(self._engines)

    def get(self, path: Path, device: str, dtype: str = "auto") -> Engine:
        """The engine of a weights file on a device; loads it where needed, so not for the GUI.

        Raises
        ------
        ModelError
            If the weights cannot be loaded.
        RequestError
            If there is no such device or precision.
        """
        name = full_device_name(device)
        key = (path, path.stat().st_mtime_ns if path.exists() else 0, name, dtype)
        with self._lock:
            engine = self._engines.get(key)
        if engine is None:  # loaded outside the lock: the window may want to release
            engine = Engine(load_model(path), name, dtype=dtype, cache=self._tiles)
            with self._lock:
                self._engines[key] = engine
        return engine

    def release(self) -> None:
        """Let go of every network and finished tile; one at work keeps its own until it ends."""
        with self._lock:
            self._engines.clear()
        self._tiles.clear()
        LARGEST_TILES.clear()  # there may be room now
        release_memory()


ENGINES = EnginePool()
"""Of this process: every dock computes with the same networks and finds the same tiles."""


def limit_threads(leave: int = 0) -> None:
    """Limit torch's threads in the calling thread to the free cores, before it computes.

    Parameters
    ----------
    leave : int
        Cores to leave to others. A run that somebody waits for leaves none, since the window needs
        little; one that takes minutes leaves one.
    """
    compute_with(min(torch.get_num_threads(), free_cores(leave)))
