"""The result comes and goes over the slide: what differs seems to move."""

from __future__ import annotations

from qtpy.QtCore import QObject, QTimer

from napari_cwtnet.plugin.pair import Pair

HERTZ = 2.0
"""How often a second the result is seen; three and more would flash."""


class Blink:
    """The mode of comparing that hides and shows the result in turn; its badge goes with it."""

    words = "The computed layer comes and goes, twice a second. K stops it."

    def __init__(self, parent: QObject) -> None:
        self._pair: Pair | None = None
        self._timer = QTimer(parent)
        self._timer.setInterval(round(1000 / HERTZ / 2))
        self._timer.timeout.connect(self._turn)

    def begin(self, pair: Pair) -> None:
        """Start with the slide."""
        self._pair = pair
        self._turn()
        self._timer.start()

    def end(self) -> None:
        """Leave the result to be seen."""
        self._timer.stop()
        if self._pair is not None:
            self._pair.result.visible = True
        self._pair = None

    def _turn(self) -> None:
        if self._pair is not None:
            self._pair.result.visible = not self._pair.result.visible
