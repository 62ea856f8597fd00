"""Following the camera, the layers and the shapes, once they have been still for a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Shapes
from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

REST_MS = 250
"""How long everything has to be still before a dock's sentence follows it, and Live begins."""


class Resting(QTimer):
    """Calls once, a moment after the last `start` or change.

    Parameters
    ----------
    dock : QWidget
        Lives as long as this.
    call : callable
        What follows the changes.
    """

    def __init__(self, dock: QWidget, call: Callable[[], None]) -> None:
        super().__init__(dock)
        self.setSingleShot(True)
        self.setInterval(REST_MS)
        self.timeout.connect(call)

    def follow(self, viewer: Any) -> None:
        """Start anew whenever something changes that a view or an ROI depends on."""
        for event in (
            viewer.scene.camera.events.center,
            viewer.scene.camera.events.zoom,
            viewer.canvas.events.size,
            viewer.dims.events.ndisplay,
            viewer.layers.selection.events.active,
            viewer.layers.events.removed,
        ):
            event.connect(self.on_change)
        viewer.layers.events.inserted.connect(self._on_inserted)
        for layer in viewer.layers:
            self._watch(layer)

    def on_change(self, *_: Any) -> None:
        """Start anew, unless the dock has gone: napari's events outlive it."""
        if isalive(self):
            self.start()

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)
        self.on_change()

    def _watch(self, layer: Any) -> None:
        if isinstance(layer, Shapes):
            layer.events.data.connect(self.on_change)
            layer.events.highlight.connect(self.on_change)
