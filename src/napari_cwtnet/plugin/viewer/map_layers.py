"""Maps of a field as layers over its slide: one at a time, named, with a scale that is seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from napari.layers import Image, Layer, Shapes, Vectors
from napari.utils import Colormap
from numpy.typing import NDArray

from napari_cwtnet.enhancement import Plan
from napari_cwtnet.inspection import Field, Map, Probe, displacement
from napari_cwtnet.inspection.calibration import in_pixels
from napari_cwtnet.inspection.maps import RAMPS, coloured
from napari_cwtnet.plugin.viewer.badge import keep_badge
from napari_cwtnet.plugin.viewer.computed import MARKS_KEY, RESULT_KEY
from napari_cwtnet.plugin.viewer.selection import holds
from napari_cwtnet.plugin.viewer.viewport import (
    follow_transform,
    lay_over,
    leave_transform,
)

MOST_ARROWS = 1600
_MARK, _TINT, _LINE = (0, 229, 255), 45, 2
_BLOCK = "█"
"""Black below white letters, which are read on any map then."""
_QUERY, _MATCH, _BEST = "white", "#5adcff", "#5aff5a"


def map_name(found: Map) -> str:
    """Name of a map's layer; the warning comes first."""
    return f"COMPUTED · {found.title} ({found.unit})"


class MapLayers:
    """The map that is looked at, and the arrows or boxes that belong to it.

    A new one takes the place of the one before, so that looking around piles up nothing; to keep a
    map, duplicate its layer.

    Parameters
    ----------
    viewer : Viewer
        Where the layers go.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._slide_layer: Any = None
        self._shown: list[tuple[Layer, Any]] = []

    @property
    def layers(self) -> list[Layer]:
        """Those of the present map that are still there, the map itself first."""
        return [layer for layer, _ in self._shown if holds(self._viewer, layer)]

    def show(self, slide_layer: Any, found: Map, badge: str) -> Image:
        """Lay a map over its slide, in place of the one before."""
        self.clear()
        self._follow(slide_layer)
        keep_badge(self._viewer)
        options: dict[str, Any] = {
            "name": map_name(found),
            "metadata": {
                RESULT_KEY: {
                    "badge": badge,
                    "map": found.name,
                    "title": f"{found.title} ({found.unit})",
                }
            },
            "interpolation2d": "nearest",
        }
        if found.palette == "direction":
            layer = Image(coloured(found.shown, 0, found.high, "direction"), rgb=True, **options)
        else:
            layer = Image(
                np.asarray(found.shown, np.float32),
                colormap=Colormap(np.array(RAMPS[found.palette]) / 255, name=found.palette),
                contrast_limits=(found.low, found.high),
                **options,
            )
            # Below, for above is the badge, which names the map.
            layer.colorbar.position = "bottom_left"
            layer.colorbar.visible = True
        self._add(layer, (found.region, found.downsample))
        return layer

    def show_mark_alone(
        self, slide_layer: Any, plan: Plan, squares: NDArray[np.bool_]
    ) -> Image | None:
        """The same mark over a result of the Enhance dock, in place of the one before."""
        self.clear()
        self._follow(slide_layer)
        return self.show_mark(plan, squares, name="COMPUTED · do not rely on what is tinted")

    def show_mark(
        self,
        plan: Plan,
        squares: NDArray[np.bool_],
        *,
        name: str = "COMPUTED · inspected: do not rely on what is tinted",
    ) -> Image | None:
        """Tint and outline the squares that are not to be relied on; None where there is none."""
        if not squares.any():
            return None
        layer = Image(
            outlined(in_pixels(squares, plan.output_size.height, plan.output_size.width)),
            rgb=True,
            name=name,
            interpolation2d="nearest",
        )
        self._add(layer, (plan.region, plan.output_downsample))
        return layer

    def show_steps(self, field: Field, block: int) -> Vectors | None:
        """Arrows from patches to their matches, on a grid; None where every step is 0."""
        arrows = step_arrows(field, block)
        if len(arrows) == 0:
            return None
        layer = Vectors(
            arrows,
            name=f"COMPUTED · steps to the matches, block {block}",
            vector_style="arrow",
            edge_width=0.2 * field.plan.downsample,
            edge_color="black",
        )
        self._add(layer, None)
        return layer

    def show_patches(self, field: Field, probe: Probe) -> Shapes:
        """Boxes: white what was asked, blue what the network took, green what is most like it."""
        best = {patch.box: str(n) for n, patch in enumerate(probe.best, start=1)}
        asked = f"{best.pop(probe.query)}, asked" if probe.query in best else "asked"
        boxes = [
            *((box, number, _BEST) for box, number in best.items()),
            (probe.match.box, "", _MATCH),
            (probe.query, asked, _QUERY),
        ]
        # Twice: black below, so that the colours are seen on any other.
        labels = [_plate(label) for _, label, _ in boxes] + [label for _, label, _ in boxes]
        line = 0.4 * field.plan.downsample
        layer = Shapes(
            [_corners(box) for box, *_ in boxes] * 2,
            shape_type="rectangle",
            edge_color=["black" for _ in boxes] + [colour for *_, colour in boxes],
            face_color="transparent",
            edge_width=[2.5 * line for _ in boxes] + [line for _ in boxes],
            features={"label": labels},
            text={
                "string": "{label}",
                "color": ["black" for _ in boxes] + ["white" for _ in boxes],
                "size": 11,
                "anchor": "upper_left",
            },
            opacity=1.0,
            name=f"COMPUTED · best patches, block {probe.block}",
            metadata={MARKS_KEY: True},
        )
        self._add(layer, None)
        return layer

    def clear(self) -> None:
        """Take the present map away."""
        for layer in self.layers:
            self._viewer.layers.remove(layer)
        self._shown = []
        if self._slide_layer is not None:
            leave_transform(self._slide_layer, self._register)
            self._slide_layer = None

    def _follow(self, slide_layer: Any) -> None:
        self._slide_layer = slide_layer
        follow_transform(slide_layer, self._register)

    def _add(self, layer: Layer, place: Any) -> None:
        self._shown.append((layer, place))
        self._register()
        active = self._viewer.layers.selection.active
        self._viewer.layers.append(layer)
        # The slide stays chosen: a click on a Shapes layer would select there.
        if active is not None and holds(self._viewer, active):
            self._viewer.layers.selection.active = active

    def _register(self, *_: Any) -> None:
        """Lay the layers over the slide; again when the slide is placed otherwise."""
        for layer, place in self._shown:
            lay_over(layer, self._slide_layer, *(place or (None, 1)))


def outlined(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A mask ``(h, w)`` of 0 and 1 as ``(h, w, 4)``: a light tint within an opaque outline."""
    padded = np.pad(mask, _LINE, mode="edge").astype(bool)
    height, width = mask.shape
    inner = mask.astype(bool)
    for y, x in ((0, 1), (2, 1), (1, 0), (1, 2)):
        inner &= padded[y * _LINE : y * _LINE + height, x * _LINE : x * _LINE + width]
    picture = np.zeros((height, width, 4), np.uint8)
    picture[mask > 0] = (*_MARK, _TINT)
    picture[(mask > 0) & ~inner, 3] = 255
    return picture


def step_arrows(field: Field, block: int) -> NDArray[np.float64]:
    """Starts and steps ``(n, 2, 2)`` of the matches that lie elsewhere, as data of the slide."""
    steps, plan = displacement(field, block), field.plan
    height, width = steps.shape[:2]
    every = max(1, round((height * width / MOST_ARROWS) ** 0.5))
    rows, columns = np.mgrid[every // 2 : height : every, every // 2 : width : every]
    chosen = steps[rows, columns].reshape(-1, 2).astype(np.float64)
    start = np.stack((rows.ravel(), columns.ravel()), axis=-1) + 0.5
    corner = np.array((plan.region.y, plan.region.x))
    arrows = np.stack((corner + start * plan.downsample - 0.5, chosen * plan.downsample), axis=1)
    return np.asarray(arrows[(chosen != 0).any(-1)])


def _plate(label: str) -> str:
    """Full blocks as wide as a label, in which letters are narrower."""
    return _BLOCK * math.ceil(0.77 * len(label))


def _corners(box: Any) -> NDArray[np.float64]:
    """Upper left and lower right of a region, as data of the slide: pixel centres count there."""
    return np.array([(box.y, box.x), (box.bottom, box.right)]) - 0.5
