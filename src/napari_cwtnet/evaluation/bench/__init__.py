"""How fast, on this machine: ratios from one run in which everything takes turns."""

from napari_cwtnet.evaluation.bench.memory import memory
from napari_cwtnet.evaluation.bench.naive import against_naive, naive_memory
from napari_cwtnet.evaluation.bench.reading import reading
from napari_cwtnet.evaluation.bench.timing import Task, Timing, in_turns, machine, peaks
from napari_cwtnet.evaluation.bench.viewport import Viewport, untrained, viewport

__all__ = [
    "Task",
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
