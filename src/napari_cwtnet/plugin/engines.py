"""One engine for each model on each device, so that finished tiles are there when one pans."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import torch
from cachetools import LRUCache

from napari_cwtnet.enhancement import Engine, choose_device
from napari_cwtnet.model import load_model

_KEPT = 3


class Engines:
    """Engines by model file and device; the least recently used goes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engines: LRUCache[tuple[Path, int, str], Engine] = LRUCache(_KEPT)

    def get(self, path: Path, device: str) -> Engine:
        """The engine of a weights file on a device; loads it where needed, so not for the GUI.

        Raises
        ------
        ModelError
            If the weights cannot be loaded.
        RequestError
            If there is no such device.
        """
        leave_a_core_to_the_window()
        name = str(choose_device(device))
        key = (path, path.stat().st_mtime_ns if path.exists() else 0, name)
        with self._lock:
            engine = self._engines.get(key)
        if engine is None:
            engine = Engine(load_model(path), name)  # outside: the window may want to release
            with self._lock:
                self._engines[key] = engine
        return engine

    def release(self) -> None:
        """Let go of every network and finished tile; one at work keeps its own until it ends."""
        with self._lock:
            self._engines.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def leave_a_core_to_the_window() -> None:
    """Limit torch's threads; for each thread that computes to call before it does.

    OpenMP keeps the number for each thread apart, torch sets it where a thread first computes.
    """
    torch.set_num_threads(min(torch.get_num_threads(), max(1, (os.cpu_count() or 2) - 1)))
