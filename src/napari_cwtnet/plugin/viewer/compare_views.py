"""Baseline and result in two fields of napari's grid, which one camera looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QLabel, QWidget

from napari_cwtnet.plugin.viewer.canvas import canvas_widget
from napari_cwtnet.plugin.viewer.compare_pair import Pair
from napari_cwtnet.plugin.viewer.selection import HiddenLayers

_LABEL_GAP = 22
"""Pixels between the line and a name, enough for a grip."""
_PLAIN, _COMPUTED = "rgba(43, 47, 58, 230)", "rgba(122, 31, 31, 230)"
_STYLE = "color: white; background: {}; padding: 3px 8px; border-radius: 3px;"


class SideLabels(QObject):
    """The names of both sides left and right of a line, halfway up the canvas; red is computed.

    Parameters
    ----------
    canvas : QWidget
        What they lie over; they let the mouse through.
    pair : Pair
        Whose names.

    Attributes
    ----------
    resized : Signal
        The canvas has another size.
    """

    resized = Signal()

    def __init__(self, canvas: QWidget, pair: Pair) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.labels = []
        colours = (_COMPUTED if pair.baseline.kind == "result" else _PLAIN, _COMPUTED)
        for text, colour in zip(pair.names, colours, strict=True):
            label = QLabel(text, canvas)
            label.setObjectName("cwtnet_side")
            label.setStyleSheet(_STYLE.format(colour))
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            label.adjustSize()
            self.labels.append(label)
        canvas.installEventFilter(self)

    def put(self, x: int) -> None:
        """Move to either side of a line, in pixels of the canvas, and show."""
        left, right = self.labels
        y = (self._canvas.height() - left.height()) // 2
        left.move(x - _LABEL_GAP - left.width(), y)
        right.move(x + _LABEL_GAP, y)
        for label in self.labels:
            label.show()
            label.raise_()

    def remove(self) -> None:
        """Go, for good."""
        self._canvas.removeEventFilter(self)
        for label in self.labels:
            label.hide()
            label.deleteLater()
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Follow the canvas' size."""
        if event.type() == QEvent.Type.Resize:
            self.resized.emit()
        return bool(super().eventFilter(watched, event))


_VIEW_GAP = 4.0


class SideBySide:
    """The mode of comparing that shows baseline and result in fields of their own.

    Every other layer is hidden for as long, for each would get a field too.

    Parameters
    ----------
    others_shown : callable
        Called when another layer is shown, or hidden, after all: each takes a field.
    """

    def __init__(self, others_shown: Callable[..., None]) -> None:
        self._others_shown = others_shown
        self._others: list[Any] = []
        self.labels: SideLabels | None = None
        self._pair: Pair | None = None
        self._hidden = HiddenLayers()
        self._grid: dict[str, Any] = {}

    @property
    def words(self) -> str:
        """What is seen."""
        if self._pair is None:
            return ""
        left, right = self._pair.names
        return f"Left: {left}. Right: {right}. Both show the same place and move together."

    def begin(self, pair: Pair) -> None:
        """Part the canvas."""
        self._pair, grid, layers = pair, pair.viewer.canvas.grid, pair.viewer.layers
        self._hidden.hide(pair.others)
        settings = ("shape", "stride", "spacing", "enabled")
        self._grid = {setting: getattr(grid, setting) for setting in settings}
        grid.shape, grid.spacing, grid.stride, grid.enabled = (1, 2), _VIEW_GAP, 1, True
        self.arrange()
        self._others = [one for one in layers if one not in pair.both]
        for other in self._others:
            other.events.visible.connect(self._others_shown)
        canvas = canvas_widget(pair.viewer)
        if canvas is not None:
            labels = self.labels = SideLabels(canvas, pair)
            labels.resized.connect(lambda: labels.put(canvas.width() // 2))
            labels.put(canvas.width() // 2)

    def end(self) -> None:
        """One field again, with every layer that was shown before."""
        if self._pair is None:
            return
        for other in self._others:
            other.events.visible.disconnect(self._others_shown)
        self._others = []
        for setting in reversed(self._grid):
            setattr(self._pair.viewer.canvas.grid, setting, self._grid[setting])
        if self.labels is not None:
            self.labels.remove()
        self._hidden.show_again()
        self._pair = self.labels = None

    def arrange(self) -> bool:
        """Baseline left, result right, however the layers are ordered; False if they cannot be."""
        if self._pair is None:
            return False
        grid, layers = self._pair.viewer.canvas.grid, self._pair.viewer.layers
        for stride in (1, -1):  # the latter fills the fields from the other end of the list
            grid.stride = stride
            places = [grid.position(layers.index(one), layers) for one in self._pair.both]
            if places == [(0, 0), (0, 1)]:
                return True
        return False
