"""Result minus slide as a layer of its own, in colours that are symmetric about nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap

from napari_cwtnet.enhancement.difference import (
    Against,
    signed_difference,
    suiting_baseline,
    symmetric_limit,
)
from napari_cwtnet.plugin.background import in_background
from napari_cwtnet.plugin.badge import RESULT_KEY
from napari_cwtnet.plugin.pair import Pair
from napari_cwtnet.plugin.results import source_of

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
        self._changed = changed

    def begin(self, pair: Pair) -> None:
        """Compute the map, and show it when it is there."""
        self._pair = pair
        self._number += 1
        number, source, known = self._number, source_of(pair.result), self._known()
        if source is None or known.get("tiles_done", -1) != known.get("tiles"):
            self.words = _NO_SOURCE if source is None else _UNFINISHED
            return
        self.words = "Subtracting…"
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
        if self.layer is not None and self._pair is not None:
            layers = self._pair.viewer.layers
            if any(one is self.layer for one in layers):
                layers.remove(self.layer)
        self.layer = self._pair = None

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
            scale=result.scale,
            translate=result.translate,
            units=result.units,
        )
        layer.contrast_limits_range = (-255, 255)
        layer.colorbar.position = "bottom_left"
        layers, active = pair.viewer.layers, pair.viewer.layers.selection.active
        layers.insert(layers.index(result) + 1, layer)
        layers.selection.active = active
        layer.colorbar.visible = True
        self.layer = layer
        self.words = (
            f"Computed minus {_BASELINES[against]}: red is brighter, blue darker, white the same; "
            f"full colour at ±{limit:g} of 255 steps."
        )
        self._changed()
