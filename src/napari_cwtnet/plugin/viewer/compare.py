"""Comparing a result with the slide, with plain enlargement or with another result."""

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
from napari_cwtnet.plugin.tasks.runner import in_background
from napari_cwtnet.plugin.viewer.canvas import real_viewer
from napari_cwtnet.plugin.viewer.compare_pair import (
    SLIDE,
    Baseline,
    Other,
    Pair,
    baselines_of,
    bicubic_layer,
    difference,
    enlargement,
)
from napari_cwtnet.plugin.viewer.compare_split import Split
from napari_cwtnet.plugin.viewer.compare_views import SideBySide
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.in_place import hold, let_go
from napari_cwtnet.plugin.viewer.selection import (
    HiddenLayers,
    compared_slide,
    holds,
    shown_result,
    source_of,
)
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.plugin.viewer.viewport import follow_transform, lay_over, leave_transform
from napari_cwtnet.plugin.viewer.wording import capital

HERTZ = 2.0
"""How often a second the result is seen; three and more would flash."""
BLINK_KEY = "K"


class Blink:
    """The mode of comparing that shows baseline and result in turn; the badge goes with them."""

    def __init__(self, parent: QObject) -> None:
        self._pair: Pair | None = None
        self._timer = QTimer(parent)
        self._timer.setInterval(round(1000 / HERTZ / 2))
        self._timer.timeout.connect(self._turn)

    @property
    def words(self) -> str:
        """What is seen."""
        left, right = ("", "") if self._pair is None else self._pair.names
        return f"{capital(left)} and {right} in turn, twice a second. Press {BLINK_KEY} to stop."

    def begin(self, pair: Pair) -> None:
        """Start with the baseline."""
        self._pair = pair
        self._turn()
        self._timer.start()

    def end(self) -> None:
        """Leave the result to be seen."""
        self._timer.stop()
        if self._pair is not None:
            self._pair.result.visible = self._pair.base.visible = True
        self._pair = None

    def _turn(self) -> None:
        if self._pair is not None:
            result, base = self._pair.result, self._pair.base
            result.visible = not result.visible
            # The slide stays: it is below, and reaches beyond the result.
            base.visible = base is self._pair.slide or not result.visible


DIFFERENCE_RANGE = 30
"""Grey levels of 255 at which the colours are full: the same for every map, to compare them."""
_COLOURS = ["#0b3c8c", "#5d9bd5", "#ffffff", "#e07b54", "#8c1010"]
_NO_SOURCE = "Only results of this session can be subtracted; enhance this place again."
_AT_WORK = "The result is still being computed; take the difference when it is done."


class Difference:
    """The mode of comparing that shows a map of what is brighter and what is darker.

    Parameters
    ----------
    changed : callable
        Called when there is something new in `words`.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.words = ""
        self.layer: Image | None = None
        self._pair: Pair | None = None
        self._number = 0
        self._plan: Plan | None = None
        self._changed = changed

    def begin(self, pair: Pair) -> None:
        """Compute the map, and show it when it is there."""
        self._pair = pair
        self._number += 1
        self.words = difference_hindrance(pair.result, pair.baseline)
        source = source_of(pair.result)
        if self.words or source is None:
            return
        self.words, self._plan = "Subtracting…", source.plan
        number, baseline, pixels = self._number, pair.baseline, pair.result.data
        theirs = None if baseline.layer is None else source_of(baseline.layer)
        other = None if theirs is None else Other(baseline.layer.data, theirs.plan)

        def answer(found: np.ndarray) -> None:
            if number == self._number and self._pair is not None and self._pair.there:
                self._show(self._pair, found)

        def failed(message: str) -> None:
            if number == self._number:
                self.words = message
                self._changed()

        in_background(lambda: difference(source, pixels, baseline, other), answer, failed)

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

    def _show(self, pair: Pair, found: np.ndarray) -> None:
        result, baseline = pair.result, pair.baseline
        layer = Image(
            found,
            name=f"COMPUTED difference · result minus {baseline.short}",
            colormap=Colormap(_COLOURS, name="difference"),
            contrast_limits=(-DIFFERENCE_RANGE, DIFFERENCE_RANGE),
            interpolation2d="nearest",
            metadata={
                RESULT_KEY: {
                    "badge": result.metadata[RESULT_KEY]["badge"],
                    "difference": baseline.kind,
                }
            },
        )
        self.layer = layer
        self.place()
        layer.contrast_limits_range = (-255, 255)
        layer.colorbar.position = "bottom_left"
        insert_above(pair.viewer, result, layer)
        layer.colorbar.visible = True
        self.words = (
            f"Computed minus {baseline.words}: red is brighter, blue darker. "
            f"Full colour at ±{DIFFERENCE_RANGE} of 255 grey levels."
        )
        self._changed()


def insert_above(viewer: Any, lower: Any, layer: Any) -> None:
    """Add a layer right above another, and leave the choice of layers as it is."""
    layers, active = viewer.layers, viewer.layers.selection.active
    layers.insert(layers.index(lower) + 1, layer)
    layers.selection.active = active


def difference_hindrance(result: Any, baseline: Baseline) -> str:
    """Why nothing can be subtracted; empty where it can."""
    if source_of(result) is None:
        return _NO_SOURCE
    if baseline.layer is not None and source_of(baseline.layer) is None:
        return _NO_SOURCE
    pictures = [result] if baseline.layer is None else [result, baseline.layer]
    done = all("tiles_done" in one.metadata[RESULT_KEY] for one in pictures)
    return "" if done else _AT_WORK


ModeName = Literal["split", "blink", "side", "difference"]

NOTHING = "Enhance something first; then compare it here."
NO_SLIDE = "Open the slide of the computed image; then compare them here."
FLAT = "Show the slide in 2D; then compare."


class Comparer(QObject):
    """Begins and ends ways of comparing; follows layers that come and go.

    Attributes
    ----------
    changed : Signal
        There is something new in `mode`, `meant`, `against`, `words` or `hindrance`.
    """

    changed = Signal()

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = real_viewer(viewer)
        self._pair: Pair | None = None
        self._result: Any = None
        self._base_made: Any = None
        self._base_was_visible = True
        self._hidden = HiddenLayers()
        self._had_grid = self._moved = False
        self._number = 0
        self._trouble = ""
        self._wanted = SLIDE
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
        self._viewer.layers.selection.events.active.connect(self._on_active)
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
        return shown_result(self._viewer) if self._result is None else self._result

    @property
    def baselines(self) -> list[Baseline]:
        """What the result that is meant can be compared with."""
        return [] if self.hindrance else baselines_of(self._viewer, real_viewer(self.meant))

    @property
    def against(self) -> Baseline:
        """What it is compared with: what was chosen, or the slide where that has gone."""
        return self._wanted if self._wanted in self.baselines else SLIDE

    @property
    def hindrance(self) -> str:
        """Why nothing can be compared, and what to do; empty where it can."""
        result = self.meant
        if result is None:
            return NOTHING
        if self._find(result) is not None:
            return ""
        return NO_SLIDE if self._viewer.dims.ndisplay == 2 else FLAT

    def hindrance_of(self, mode: ModeName) -> str:
        """Why there is no such way of comparing just now; empty where there is."""
        if self.hindrance or mode != "difference":
            return self.hindrance
        return difference_hindrance(self.meant, self.against)

    @property
    def words(self) -> str:
        """What is seen, or why there is nothing to compare."""
        if self.mode is None:
            return self._trouble or self.hindrance
        return "Enlarging…" if self._pair is None else str(self._modes[self.mode].words)

    def choose(self, mode: ModeName | None, result: Any | None = None) -> None:
        """Compare in this way from now on, the foremost result if none is given; None ends it."""
        self._end()
        self._trouble = ""
        found = self._find(result) if mode is not None else None
        if found is not None and mode is not None:
            slide, self._result = found
            self.mode, baseline = mode, self.against
            if baseline.kind == "bicubic" and mode != "difference":
                self._enlarge(slide)
            else:
                other = None if mode == "difference" else baseline.layer
                self._begin(slide, other or slide, baseline)
        self.changed.emit()

    def compare_with(self, baseline: Baseline) -> None:
        """Compare with something else from now on."""
        if baseline != self.against:
            self._wanted = baseline
            self.choose(self.mode, self._result)

    def refresh(self) -> None:
        """Look again: the result has other pixels."""
        made = self.mode == "difference" or self._base_made is not None
        if made or (self.mode is not None and self._pair is None):
            self.choose(self.mode, self._result)
        else:
            self.changed.emit()

    def _enlarge(self, slide: Any) -> None:
        """Begin with plain enlargement, once it is there."""
        source, number = source_of(self._result), self._number
        if source is None:
            return

        def answer(pixels: np.ndarray) -> None:
            if number != self._number or not isalive(self) or not holds(self._viewer, slide):
                return
            layer = self._base_made = bicubic_layer(slide, source.plan, pixels)
            insert_above(self._viewer, slide, layer)
            self._begin(slide, layer, self.against)
            self.changed.emit()

        def failed(message: str) -> None:
            if number == self._number and isalive(self):
                self._end()
                self._trouble = message
                self.changed.emit()

        in_background(lambda: enlargement(source), answer, failed)

    def _begin(self, slide: Any, base: Any, baseline: Baseline) -> None:
        pair = Pair(self._viewer, slide, base, self._result, baseline)
        self._base_was_visible = base.visible
        hold(pair.result, base)
        pair.result.visible = base.visible = True
        self._hidden.hide(pair.rivals)
        pair.draw_alike()
        follow_transform(slide, self._on_placed)
        grid = self._viewer.canvas.grid
        self._had_grid = self.mode != "side" and grid.enabled
        if self._had_grid:
            grid.enabled = False  # in fields of their own they do not lie over each other
        self._pair = pair
        if self.mode is not None:
            self._modes[self.mode].begin(pair)

    def _end(self) -> None:
        self._number += 1
        mode, pair, made = self.mode, self._pair, self._base_made
        self.mode = self._pair = self._result = self._base_made = None
        if mode is not None and pair is not None:
            leave_transform(pair.slide, self._on_placed)
            self._modes[mode].end()
            if self._had_grid:
                self._viewer.canvas.grid.enabled = True
            pair.draw_as_before()
            if pair.baseline.kind == "result":
                pair.base.visible = self._base_was_visible
            self._hidden.show_again()
            let_go(self._viewer, pair.result, pair.base)
        if made is not None and holds(self._viewer, made):
            self._layers.remove(made)

    @property
    def _layers(self) -> Any:
        return self._viewer.layers

    def _find(self, result: Any | None = None) -> tuple[Any, Any] | None:
        """The slide, and the result over it."""
        result = result if result is not None else self.meant
        slide = compared_slide(self._viewer, result) if result is not None else None
        if slide is None or self._viewer.dims.ndisplay != 2:
            return None
        return real_viewer(slide), real_viewer(result)

    def _on_inserted(self, event: Any) -> None:
        if not isalive(self):  # napari's events outlive the dock
            return
        if self.mode is not None and source_of(event.value) is not None:
            self.choose(self.mode, event.value)  # the newest is the one that is meant
        else:
            self._on_changed()

    def _on_active(self, *_: Any) -> None:
        if not isalive(self):  # napari's events outlive the dock
            return
        active, pair = self._layers.selection.active, self._pair
        if pair is not None and slide_of(active) is not None:
            if active not in (*pair.both, pair.slide):
                self.choose(None)  # another slide is looked at
        elif self.mode is None:
            self.changed.emit()  # another result may be meant

    def _on_changed(self, *_: Any) -> None:
        if not isalive(self):  # napari's events outlive the dock
            return
        if self._wanted.layer is not None and not holds(self._viewer, self._wanted.layer):
            self._wanted = SLIDE
        if self.mode is not None and not self._holds:
            self.choose(None)
        else:
            self.changed.emit()

    @property
    def _holds(self) -> bool:
        """Whether what is said of both sides is still so: the user may turn the grid on or off."""
        viewer, side = self._viewer, self.mode == "side"
        if viewer.dims.ndisplay != 2:
            return False
        if self._pair is None:  # it is being made
            return holds(viewer, self._result)
        if not self._pair.there:
            return False
        return viewer.canvas.grid.enabled == side and (not side or self._side.arrange())

    def _on_placed(self, *_: Any) -> None:
        """The slide is placed otherwise: what was made for the result follows it."""
        if not isalive(self):
            return
        self.difference.place()
        plan = getattr(source_of(self._result), "plan", None)
        if self._base_made is not None and self._pair is not None and plan is not None:
            lay_over(self._base_made, self._pair.slide, plan.region, plan.output_downsample)
        if self.mode == "difference" and not self._moved:
            self._moved = True  # several events tell of one change
            QTimer.singleShot(0, self._on_moved)  # once the result has another badge

    def _on_moved(self) -> None:
        self._moved = False
        if self.mode == "difference":
            self.refresh()
