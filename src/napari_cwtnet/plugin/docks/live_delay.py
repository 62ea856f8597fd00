"""How long a view has to rest before the docks follow it, and Live enhances it."""

from __future__ import annotations

from typing import Any

from napari.layers import Shapes
from qtpy.compat import isalive
from qtpy.QtWidgets import QWidget
from superqt.utils import QSignalDebouncer

REST_MS = 250
"""How long everything has to be still before a dock's sentence follows it, and Live begins."""


class ViewDebouncer(QSignalDebouncer):
    """Triggers once, a moment after the last change.

    Parameters
    ----------
    dock : QWidget
        Lives as long as this.
    """

    def __init__(self, dock: QWidget) -> None:
        super().__init__(parent=dock)
        self.setTimeout(REST_MS)
        self.pending = False
        """Whether something has changed that the dock does not show yet."""
        self.triggered.connect(self._on_triggered)

    def follow(self, viewer: Any) -> None:
        """Trigger after whatever changes a view or an ROI."""
        for event in (
            viewer.scene.camera.events.center,
            viewer.scene.camera.events.zoom,
            viewer.canvas.events.size,
            viewer.canvas.grid.events.enabled,  # a field of the grid shows less than the canvas
            viewer.dims.events.ndisplay,
            viewer.layers.selection.events.active,
            viewer.layers.events.removed,
        ):
            event.connect(self.on_change)
        viewer.layers.events.inserted.connect(self._on_inserted)
        for layer in viewer.layers:
            self._watch(layer)

    def on_change(self, *_: Any) -> None:
        """Begin to wait again, unless the dock has gone: napari's events outlive it."""
        if isalive(self):
            self.pending = True
            self.throttle()

    def _on_triggered(self) -> None:
        self.pending = False

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)
        self.on_change()

    def _watch(self, layer: Any) -> None:
        if isinstance(layer, Shapes):
            layer.events.data.connect(self.on_change)
            layer.events.highlight.connect(self.on_change)
