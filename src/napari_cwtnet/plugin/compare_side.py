"""Slide and result in two fields of napari's grid, which one camera looks at."""

from __future__ import annotations

from typing import Any

from napari_cwtnet.plugin.pair import Hidden, Pair

_GAP = 4.0
_NAME_AT = "bottom_left"
"""At the top the badge would cover it."""


class SideBySide:
    """The mode of comparing that shows slide and result in fields of their own.

    Every other layer is hidden for as long, for each would get a field too.
    """

    words = "Left: the slide. Right: computed. Both show the same place, and move together."

    def __init__(self) -> None:
        self._pair: Pair | None = None
        self._hidden = Hidden()
        self._names: list[tuple[Any, bool, Any]] = []
        self._grid: dict[str, Any] = {}

    def begin(self, pair: Pair) -> None:
        """Part the canvas."""
        self._pair, grid, layers = pair, pair.viewer.canvas.grid, pair.viewer.layers
        self._hidden.hide(pair.others)
        names = [layer.name_overlay for layer in pair.both]
        self._names = [(name, name.visible, name.position) for name in names]
        for name in names:
            name.position, name.visible = _NAME_AT, True
        settings = ("shape", "stride", "spacing", "enabled")
        self._grid = {setting: getattr(grid, setting) for setting in settings}
        grid.shape, grid.spacing, grid.stride, grid.enabled = (1, 2), _GAP, 1, True
        if grid.position(layers.index(pair.slide), layers) != (0, 0):
            grid.stride = -1  # fills the fields from the other end of the layer list

    def end(self) -> None:
        """One field again, with every layer that was shown before."""
        if self._pair is None:
            return
        for setting in reversed(self._grid):
            setattr(self._pair.viewer.canvas.grid, setting, self._grid[setting])
        for name, visible, position in self._names:
            name.visible, name.position = visible, position
        self._hidden.show_again()
        self._pair, self._names = None, []
