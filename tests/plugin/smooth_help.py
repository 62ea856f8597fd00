"""What the window's own thread does between two beats of a clock, drawing apart."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, Qt, QTimer

BEAT_MS = 5


@dataclass
class Beats:
    """One line a beat: the clocks of the window's thread, and what of them went into drawing."""

    lines: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def work(self) -> np.ndarray:
        """Processor time between beats but for drawing, ms; what waiting for a core cannot add."""
        return np.diff([(spent - drawn)[1] for spent, drawn in self.lines]) * 1000

    def gaps(self) -> np.ndarray:
        """Time between beats but for drawing and for waiting for a core, ms."""
        apart = (spent - drawn for spent, drawn in self.lines)
        return np.diff([wall - waited for wall, _, waited in apart]) * 1000

    def drawing(self) -> np.ndarray:
        """Time spent on drawing between beats, ms."""
        return np.diff([drawn[0] for _, drawn in self.lines]) * 1000

    def __str__(self) -> str:
        """The figures that matter."""
        work, gaps, drawing = self.work(), self.gaps(), self.drawing()
        wall, _, waited = self.lines[-1][0] - self.lines[0][0]
        return (
            f"{len(work)} beats; own work: longest {work.max():.0f} ms, 99 % "
            f"{np.quantile(work, 0.99):.1f}; gaps without drawing: longest {gaps.max():.0f}, 99 % "
            f"{np.quantile(gaps, 0.99):.0f}; drawing: longest {drawing.max():.0f}, in all "
            f"{drawing.sum() / 1000:.1f} s of {wall:.1f} s; waited for a core: {waited:.1f} s"
        )


class Clock:
    """Beats every few milliseconds on the window's thread; knows how long the canvas was drawn.

    Drawing is what the canvas's ``paintGL`` and the painting of the whole window take, the transfer
    of textures within: on a machine without a graphics card it is the processor that does it.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from napari._qt.qt_main_window import _QtMainWindow
        from vispy.app.backends._qt import CanvasBackendDesktop

        self._drawn = np.zeros(3)
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
        timer.timeout.connect(lambda: beats.lines.append((clocks(), self._drawn.copy())))
        timer.start(BEAT_MS)
        try:
            yield beats
        finally:
            timer.stop()

    @contextlib.contextmanager
    def _drawing(self) -> Iterator[None]:
        began = clocks()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._drawn += clocks() - began


def clocks() -> np.ndarray:
    """Seconds: of the wall, of this thread at work, and of it waiting for a core where Linux tells.

    On a machine that others keep busy, most of a gap may be such waiting, which is nobody's fault.
    """
    told = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")
    waited = int(told.read_text().split()[1]) / 1e9 if told.exists() else 0.0
    return np.array([time.perf_counter(), time.thread_time(), waited])
