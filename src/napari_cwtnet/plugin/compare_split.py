"""The result right of a line that one drags over the canvas, the slide left of it.

The result's pixels stay as they are: its drawing alone is cut off.
"""

from __future__ import annotations

from typing import Any

from napari_cwtnet.plugin.canvas_access import canvas_widget, drawing_of
from napari_cwtnet.plugin.pair import Pair
from napari_cwtnet.plugin.split_handle import SplitHandle

_FAR = 1e6
"""Pixels; beyond any canvas."""


class Split:
    """The mode of comparing that cuts the result off at a line."""

    words = "Left of the line: the slide. Right of it: computed. Drag the line."

    def __init__(self) -> None:
        self.fraction = 0.5
        """Where the line is, 0..1 of the canvas' width."""
        self._pair: Pair | None = None
        self._clipper: Any = None
        self._node: Any = None
        self.handle: SplitHandle | None = None

    def begin(self, pair: Pair) -> None:
        """Cut the result off and show the line."""
        from vispy.visuals.filters import Clipper

        self._pair, self._clipper = pair, Clipper()
        widget = canvas_widget(pair.viewer)
        if widget is not None:
            self.handle = SplitHandle(widget)
            self.handle.moved.connect(self.move)
            self.handle.labels.resized.connect(self._place)
        pair.result.events.set_data.connect(self._place)
        self._place()

    def end(self) -> None:
        """Show the whole result again."""
        if self._pair is None:
            return
        self._pair.result.events.set_data.disconnect(self._place)
        self._detach()
        if self.handle is not None:
            self.handle.remove()
        self._pair = self.handle = self._clipper = None

    def move(self, fraction: float) -> None:
        """Put the line elsewhere."""
        self.fraction = min(1.0, max(0.0, fraction))
        self._place()

    def _place(self, *_: Any) -> None:
        """Line and cut where they belong, on the node that draws the result now."""
        if self._pair is None:
            return
        node = drawing_of(self._pair.viewer, self._pair.result)
        if node is not self._node:
            self._detach()
            if node is not None:
                node.attach(self._clipper)
            self._node = node
        left = 0.0
        if self.handle is not None:
            left = self.handle.put(self.fraction)
        self._clipper.bounds = (left, -_FAR, _FAR, 2 * _FAR)
        if node is not None:
            node.update()

    def _detach(self) -> None:
        if self._node is not None:
            self._node.detach(self._clipper)
            self._node.update()
        self._node = None
