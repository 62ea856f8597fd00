"""Comparing a result with its slide: one way at a time, on what the viewer shows."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

from napari_cwtnet.enhancement import Plan
from napari_cwtnet.enhancement.quality import (
    Against,
    signed_difference,
    suiting_baseline,
    symmetric_limit,
)
from napari_cwtnet.plugin.tasks.runner import in_background
from napari_cwtnet.plugin.viewer.badge import RESULT_KEY
from napari_cwtnet.plugin.viewer.canvas import real_viewer
from napari_cwtnet.plugin.viewer.compare_split import Split
from napari_cwtnet.plugin.viewer.compare_views import SideBySide
from napari_cwtnet.plugin.viewer.selection import (
    HiddenLayers,
    Pair,
    compared_slide,
    holds,
    shown_result,
    source_of,
)
from napari_cwtnet.plugin.viewer.viewport import follow_transform, lay_over, leave_transform

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


_COLOURS = ["#0b3c8c", "#5d9bd5", "#ffffff", "#e07b54", "#8c1010"]
_BASELINES = {"truth": "the slide's own pixels", "bicubic": "plain enlargement (bicubic)"}
_NO_SOURCE = "Only a result of this session can be subtracted from: enhance again."
_UNFINISHED = "The result is not complete: enhance it to the end, then subtract."


class Difference:
    """The mode of comparing that shows a map of what is brighter and what is darker.

    Parameters
    ----------
    changed : callable
        Called when there is something new in `words`.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.words = ""
        self.against: Against | None = None
        """What is subtracted; None for what suits the result."""
        self.layer: Image | None = None
        self._pair: Pair | None = None
        self._number = 0
        self._plan: Plan | None = None
        self._changed = changed

    def begin(self, pair: Pair) -> None:
        """Compute the map, and show it when it is there."""
        self._pair = pair
        self._number += 1
        number, source, known = self._number, source_of(pair.result), self._known()
        if source is None or known.get("tiles_done", -1) != known.get("tiles"):
            self.words = _NO_SOURCE if source is None else _UNFINISHED
            return
        self.words, self._plan = "Subtracting…", source.plan
        against = self.against or suiting_baseline(source.plan)
        image = pair.result.data

        def work() -> tuple[np.ndarray, float]:
            found = signed_difference(source.job.slide, source.plan, image[..., :3], against)
            return found, symmetric_limit(found)

        def answer(found: tuple[np.ndarray, float]) -> None:
            if number == self._number and self._pair is not None and self._pair.there:
                self._show(self._pair, *found, against)

        def failed(message: str) -> None:
            if number == self._number:
                self.words = message
                self._changed()

        in_background(work, answer, failed)

    def end(self) -> None:
        """Take the map away."""
        self._number += 1
        if self._pair is not None and holds(self._pair.viewer, self.layer):
            self._pair.viewer.layers.remove(self.layer)
        self.layer = self._pair = None

    def place(self) -> None:
        """Lay the map over the slide again."""
        if self.layer is not None and self._pair is not None and self._plan is not None:
            plan = self._plan
            lay_over(self.layer, self._pair.slide, plan.region, plan.output_downsample)

    def _known(self) -> dict[str, Any]:
        return self._pair.result.metadata.get(RESULT_KEY, {}) if self._pair is not None else {}

    def _show(self, pair: Pair, difference: np.ndarray, limit: float, against: Against) -> None:
        result = pair.result
        name = "truth" if against == "truth" else "bicubic"
        layer = Image(
            difference,
            name=f"COMPUTED difference · result minus {name}",
            colormap=Colormap(_COLOURS, name="difference"),
            contrast_limits=(-limit, limit),
            interpolation2d="nearest",
            metadata={RESULT_KEY: {"badge": self._known()["badge"], "difference": against}},
        )
        self.layer = layer
        self.place()
        layer.contrast_limits_range = (-255, 255)
        layer.colorbar.position = "bottom_left"
        layers, active = pair.viewer.layers, pair.viewer.layers.selection.active
        layers.insert(layers.index(result) + 1, layer)
        layers.selection.active = active
        layer.colorbar.visible = True
        self.words = (
            f"Computed minus {_BASELINES[against]}: red is brighter, blue darker, white the same; "
            f"full colour at ±{limit:g} of 255 steps."
        )
        self._changed()


ModeName = Literal["split", "blink", "side", "difference"]

NOTHING = "Enhance something first; then compare it with the slide here."
NO_SLIDE = "Open the slide of the computed image; then compare them here."
FLAT = "Show the slide in 2D; then compare."
BLINK_KEY = "K"


class Comparer(QObject):
    """Begins and ends ways of comparing; follows layers that come and go.

    Attributes
    ----------
    changed : Signal
        There is something new in `mode`, `meant`, `words` or `hindrance`.
    """

    changed = Signal()

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = real_viewer(viewer)
        self._pair: Pair | None = None
        self._hidden = HiddenLayers()
        self._had_grid = False
        self.mode: ModeName | None = None
        self.split, self.difference = Split(), Difference(self.changed.emit)
        self._side = SideBySide(self._on_changed)
        self._modes: dict[ModeName, Any] = {
            "split": self.split,
            "blink": Blink(self),
            "side": self._side,
            "difference": self.difference,
        }
        events = self._viewer.layers.events
        events.inserted.connect(self._on_inserted)
        events.removed.connect(self._on_changed)
        events.reordered.connect(self._on_changed)
        self._viewer.dims.events.ndisplay.connect(self._on_changed)
        self._viewer.canvas.grid.events.enabled.connect(self._on_changed)
        me = weakref.ref(self)  # the viewer keeps its keys for good

        def on_key(_: Any) -> None:
            comparer = me()
            if comparer is not None and isalive(comparer):
                comparer.choose(None if comparer.mode == "blink" else "blink")

        self._viewer.bind_key(BLINK_KEY, on_key, overwrite=True)

    @property
    def meant(self) -> Any | None:
        """The result that is compared, though it may be out of sight just now, else the shown."""
        return shown_result(self._viewer) if self._pair is None else self._pair.result

    @property
    def hindrance(self) -> str:
        """Why nothing can be compared, and what to do; empty where it can."""
        result = shown_result(self._viewer)
        if result is None:
            return NOTHING
        if self._find(result) is not None:
            return ""
        return NO_SLIDE if self._viewer.dims.ndisplay == 2 else FLAT

    @property
    def words(self) -> str:
        """What is seen, or why there is nothing to compare."""
        if self.mode is not None:
            return str(self._modes[self.mode].words)
        return self.hindrance

    def choose(self, mode: ModeName | None, result: Any | None = None) -> None:
        """Compare in this way from now on, the foremost result if none is given; None ends it."""
        self._end()
        pair = self._find(result) if mode is not None else None
        if pair is not None and mode is not None:
            self._pair, self.mode = pair, mode
            pair.result.visible = pair.slide.visible = True
            self._hidden.hide(pair.rivals)
            pair.link_contrast()
            follow_transform(pair.slide, self._on_placed)
            grid = self._viewer.canvas.grid
            self._had_grid = mode != "side" and grid.enabled
            if self._had_grid:
                grid.enabled = False  # in fields of their own they do not lie over each other
            self._modes[mode].begin(pair)
        self.changed.emit()

    def refresh(self) -> None:
        """Begin again: the result has other pixels, or the baseline is another."""
        if self.mode == "difference":
            self.choose("difference")
        else:
            self.changed.emit()

    def _end(self) -> None:
        if self.mode is not None and self._pair is not None:
            mode, pair = self.mode, self._pair
            self.mode = self._pair = None
            leave_transform(pair.slide, self._on_placed)
            self._modes[mode].end()
            if self._had_grid:
                self._viewer.canvas.grid.enabled = True
            pair.unlink_contrast()
            self._hidden.show_again()

    def _find(self, result: Any | None = None) -> Pair | None:
        result = result if result is not None else shown_result(self._viewer)
        slide = compared_slide(self._viewer, result) if result is not None else None
        if slide is None or self._viewer.dims.ndisplay != 2:
            return None
        return Pair(self._viewer, real_viewer(slide), real_viewer(result))

    def _on_inserted(self, event: Any) -> None:
        if not isalive(self):  # napari's events outlive the dock
            return
        if self.mode is not None and source_of(event.value) is not None:
            self.choose(self.mode, event.value)  # the newest is the one that is meant
        else:
            self._on_changed()

    def _on_changed(self, *_: Any) -> None:
        if not isalive(self):  # napari's events outlive the dock
            return
        if self.mode is not None and not self._holds:
            self.choose(None)
        else:
            self.changed.emit()

    @property
    def _holds(self) -> bool:
        """Whether the words about both sides still hold: the user may turn the grid on or off."""
        viewer, side = self._viewer, self.mode == "side"
        if self._pair is None or not self._pair.there or viewer.dims.ndisplay != 2:
            return False
        return viewer.canvas.grid.enabled == side and (not side or self._side.arrange())

    def _on_placed(self, *_: Any) -> None:
        """The slide is placed otherwise: a map of the difference follows it."""
        if isalive(self) and self.mode == "difference":
            self.difference.place()
