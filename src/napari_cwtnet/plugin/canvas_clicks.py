"""Clicks on the canvas, told from drags, for a listener that the viewer does not keep alive."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from typing import Any

_STEADY = 4.0
"""Screen pixels that the pointer may move between press and release of a click."""

Listener = Callable[[tuple[float, ...]], None]


class CanvasClicks:
    """Tells where the canvas was clicked, in the world's coordinates, while it listens.

    Parameters
    ----------
    viewer : Viewer
        Whose canvas.
    listener : callable
        A bound method, held weakly: the viewer's list of callbacks would keep its dock for good.
    """

    def __init__(self, viewer: Any, listener: Listener) -> None:
        self._callbacks = viewer.mouse_drag_callbacks
        self._on_press = _watching(weakref.WeakMethod(listener))

    def listen(self) -> None:
        """Begin, if that has not been."""
        if self._on_press not in self._callbacks:
            self._callbacks.append(self._on_press)

    def stop(self) -> None:
        """Listen no more."""
        if self._on_press in self._callbacks:
            self._callbacks.remove(self._on_press)


def _watching(listener: weakref.WeakMethod[Listener]) -> Callable[[Any, Any], Iterator[None]]:
    def on_press(_: Any, event: Any) -> Iterator[None]:
        place, pressed, furthest = tuple(event.position), tuple(event.pos), 0.0
        yield
        while event.type == "mouse_move":
            furthest = max(furthest, math.dist(pressed, tuple(event.pos)))
            yield
        furthest = max(furthest, math.dist(pressed, tuple(event.pos)))  # where it was released
        told = listener()
        if told is not None and furthest <= _STEADY:
            told(place)

    return on_press
