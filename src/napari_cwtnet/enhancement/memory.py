"""How much memory a tile takes, and how much there is."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
import torch

from napari_cwtnet.model import Network

_MAPS = 8
"""Feature maps on the LR grid that are alive at once; those beyond are the shuffled ones."""
_CHANNELS = 64
_GROUP = Path("/sys/fs/cgroup")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; torch has several ways of saying it."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    words = (
        "out of memory", "not enough memory", "can't allocate memory", "bad_alloc",
        "could not create a primitive", "could not create a memory",
    )  # fmt: skip
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def expected_bytes(network: Network, pixels: int, dtype: torch.dtype) -> int:
    """Memory that a tile of so many LR pixels takes while it is computed; rather too much.

    The last shuffle holds ``C·s²`` values for each LR pixel twice over; all else is little.
    """
    channels = int(getattr(network.config, "channels", _CHANNELS))
    scale = network.config.scale
    features = channels * (_MAPS + 3 * scale**2) * dtype.itemsize
    images = 3 * 4 * (scale**2 * 3 + 4)
    return pixels * (features + images)


def free_bytes(device: torch.device) -> int:
    """Memory of a device that could be had now."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return min(int(psutil.virtual_memory().available), _group_bytes(_GROUP))


def _group_bytes(group: Path) -> int:
    """What a container's limit leaves; a very large number without one.

    What it counts as used holds pages of files, too, and those go when memory is wanted.
    """
    try:
        limit, used = (int((group / f"memory.{w}").read_text()) for w in ("max", "current"))
        words = (line.split() for line in (group / "memory.stat").read_text().splitlines())
        pages = sum(int(w[1]) for w in words if w[0] in ("active_file", "inactive_file"))
    except (OSError, ValueError):  # there is none, or it says "max"
        return 2**62
    return max(0, limit - used + pages)


class LargestTiles:
    """Sides of tiles that a device could bear, remembered after it could not bear larger ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sides: dict[tuple[str, str, torch.dtype], int] = {}

    def side(self, key: tuple[str, str, torch.dtype]) -> int | None:
        """The largest side for a model, device and precision; None while all went well."""
        with self._lock:
            return self._sides.get(key)

    def lower(self, key: tuple[str, str, torch.dtype], side: int) -> None:
        """Remember that no larger tile is to be tried."""
        with self._lock:
            self._sides[key] = min(side, self._sides.get(key, side))

    def forget(self) -> None:
        """Try whole tiles again."""
        with self._lock:
            self._sides.clear()


LARGEST_TILES = LargestTiles()
"""Of this process: all engines share the devices."""
