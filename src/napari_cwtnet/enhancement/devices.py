"""Devices: which ones exist, how many cores are free, and releasing memory."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import psutil
import torch

from napari_cwtnet.errors import RequestError

_FRESH_S = 0.2
_FIRST_LOOK_S = 0.1
_GROUPS = Path("/sys/fs/cgroup")


def granted_cores(groups: Path = _GROUPS) -> float:
    """Cores that this process may use: affinity, and a container's quota (control groups)."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return min(allowed, _quota(groups))


def _quota(groups: Path) -> float:
    """Cores by the control group's quota, version 2 or 1."""
    for quota, period in (
        (groups / "cpu.max", None),
        (groups / "cpu/cpu.cfs_quota_us", groups / "cpu/cpu.cfs_period_us"),
    ):
        try:
            words = quota.read_text().split() + (period.read_text().split() if period else [])
            spent, length = (float(word) for word in words[:2])
        except (OSError, ValueError):  # no such file, or "max"
            continue
        if spent > 0 and length > 0:
            return spent / length
    return float("inf")


class ExternalCpuLoad:
    """Cores kept busy by other processes since the last call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before: tuple[float, float, float] | None = None
        self._cores = 0.0

    def cores(self) -> float:
        """Average number of cores; the first call measures for a tenth of a second."""
        with self._lock:
            if self._before is None:
                self._before = _spent()
                time.sleep(_FIRST_LOOK_S)
            now, before = _spent(), self._before
            passed = now[0] - before[0]
            if passed >= (_FRESH_S if self._cores else _FIRST_LOOK_S / 2):
                others = (now[1] - before[1]) - (now[2] - before[2])
                self._cores = max(0.0, others / passed)
                self._before = now
            return self._cores


def _spent() -> tuple[float, float, float]:
    """Seconds: wall clock, busy time of all cores, and CPU time of this process."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted in user
    own = psutil.Process().cpu_times()
    return time.perf_counter(), sum(times) - idle - guests, own.user + own.system


_EXTERNAL = ExternalCpuLoad()


def free_cores(leave: int = 0) -> int:
    """Whole cores, at least 1, that are granted and not busy, minus ``leave``.

    At least half of the granted cores, since other processes yield as well.
    """
    granted = granted_cores()
    free = max(granted / 2, granted - _EXTERNAL.cores())
    return max(1, min(round(free), int(granted + 0.5) - leave))


_SETTING = threading.Lock()


def compute_with(count: int) -> None:
    """Set torch's number of threads for the calling thread alone.

    torch sets it for the calling thread and for every thread that first computes afterwards; a
    helper thread restores the old number for those. A thread takes over the common number when it
    first uses torch, which would undo the one set here; so it reads it before.
    """
    torch.get_num_threads()
    with _SETTING, ThreadPoolExecutor(1) as before, ThreadPoolExecutor(1) as after:
        common = before.submit(torch.get_num_threads).result()
        torch.set_num_threads(count)
        after.submit(torch.set_num_threads, common).result()


def share_cores(pieces: int) -> tuple[int, int]:
    """Number of worker threads, and torch's threads within each of them.

    Pieces computed side by side waste no time where torch's threads wait for one another. In all
    never more threads than torch is set to use in the calling thread.

    Parameters
    ----------
    pieces : int
        How many can be computed side by side, at least 1.
    """
    cores = max(1, min(torch.get_num_threads(), free_cores()))
    workers = min(cores, pieces)
    return workers, cores // workers


def list_devices() -> dict[str, str]:
    """Devices of this machine, best first: torch's name and a description."""
    found = {}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        found[f"cuda:{index}"] = f"{properties.name}, {memory:.0f} GiB"
    if torch.backends.mps.is_available():
        memory = torch.mps.recommended_max_memory() / 2**30
        found["mps"] = f"Apple GPU, {memory:.0f} GiB shared"
    cores, memory = granted_cores(), psutil.virtual_memory().total / 2**30
    found["cpu"] = (
        f"{processor_name()}, {cores:g} core{'' if cores == 1 else 's'}, {memory:.0f} GiB"
    )
    return found


@cache
def processor_name() -> str:
    """The processor's name; outside Linux it may be only the architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "CPU"


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; ``auto`` is the first of :func:`list_devices`.

    Raises
    ------
    RequestError
        If the device does not exist.
    """
    found = list_devices()
    if name == "auto":
        return torch.device(next(iter(found)))
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in found:
        raise RequestError(
            f"Device {name!r} is not available; choose auto or one of {', '.join(found)}."
        )
    return torch.device(wanted)


def release_memory() -> None:
    """Return freed memory to the system: torch's cache on a device, and the host's free pages.

    The C library keeps freed memory for reuse; glibc alone can be asked to return it.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)
