"""What the window's own thread does between two beats of a clock, drawing apart."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, Qt, QTimer

BEAT_MS = 5


@dataclass
class Beats:
    """One line a beat: wall time, processor time of the window's thread, and both while drawing."""

    lines: list[tuple[float, float, float, float]] = field(default_factory=list)

    def work(self) -> np.ndarray:
        """Processor time between beats but for drawing, ms; what waiting for a core cannot add."""
        return self._apart(1, 3)

    def gaps(self) -> np.ndarray:
        """Time between beats but for drawing, ms."""
        return self._apart(0, 2)

    def drawing(self) -> np.ndarray:
        """Time spent on drawing between beats, ms."""
        return np.diff([line[2] for line in self.lines]) * 1000

    def _apart(self, clock: int, drawn: int) -> np.ndarray:
        return np.diff([line[clock] - line[drawn] for line in self.lines]) * 1000

    def __str__(self) -> str:
        """The figures that matter."""
        work, gaps, drawing = self.work(), self.gaps(), self.drawing()
        return (
            f"{len(work)} beats; own work: longest {work.max():.0f} ms, 99 % "
            f"{np.quantile(work, 0.99):.1f}; gaps without drawing: longest {gaps.max():.0f}, 99 % "
            f"{np.quantile(gaps, 0.99):.0f}; drawing: longest {drawing.max():.0f}, in all "
            f"{drawing.sum() / 1000:.1f} s of {self.lines[-1][0] - self.lines[0][0]:.1f} s"
        )


class Clock:
    """Beats every few milliseconds on the window's thread; knows how long the canvas was drawn.

    Drawing is what the canvas's ``paintGL`` and the painting of the whole window take, the transfer
    of textures within: on a machine without a graphics card it is the processor that does it.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from napari._qt.qt_main_window import _QtMainWindow
        from vispy.app.backends._qt import CanvasBackendDesktop

        self._drawn = [0.0, 0.0]
        self._depth = 0
        paint, event = CanvasBackendDesktop.paintGL, _QtMainWindow.event

        def timed_paint(canvas: Any) -> None:
            with self._drawing():
                paint(canvas)

        def timed_event(window: Any, what: QEvent) -> bool:
            if what.type() != QEvent.Type.UpdateRequest:
                return event(window, what)
            with self._drawing():
                return event(window, what)

        monkeypatch.setattr(CanvasBackendDesktop, "paintGL", timed_paint)
        monkeypatch.setattr(_QtMainWindow, "event", timed_event)

    @contextlib.contextmanager
    def beating(self) -> Iterator[Beats]:
        """Listen for as long as the block lasts."""
        beats = Beats()
        timer = QTimer()
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.timeout.connect(lambda: beats.lines.append(self._now()))
        timer.start(BEAT_MS)
        try:
            yield beats
        finally:
            timer.stop()

    def _now(self) -> tuple[float, float, float, float]:
        return time.perf_counter(), time.thread_time(), *self._drawn

    @contextlib.contextmanager
    def _drawing(self) -> Iterator[None]:
        wall, own = time.perf_counter(), time.thread_time()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._drawn[0] += time.perf_counter() - wall
                self._drawn[1] += time.thread_time() - own
