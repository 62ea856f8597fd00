"""Benchmarks on this machine: ratios from one run in which tasks take turns."""

from napari_cwtnet.evaluation.bench.naive import against_naive, naive_memory
from napari_cwtnet.evaluation.bench.slides import Viewport, memory, reading, untrained, viewport
from napari_cwtnet.evaluation.bench.timing import TimedTask, Timing, in_turns, machine, peaks

__all__ = [
    "TimedTask",
    "Timing",
    "Viewport",
    "against_naive",
    "in_turns",
    "machine",
    "memory",
    "naive_memory",
    "peaks",
    "reading",
    "untrained",
    "viewport",
]
