"""Maps of a field, each with title, unit, range and meaning, shared by docks, files and report."""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection.attention import Probe, attention, displacement, matches_sentence
from napari_cwtnet.inspection.field import Field

Palette = Literal["heat", "signed", "grey", "direction"]
"""``heat``: more is brighter; ``signed``: blue, white, red about the middle; ``grey``: black to
white; ``direction``: hue is the direction, saturation the distance."""

RAMPS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "heat": ((0, 0, 0), (64, 18, 112), (190, 48, 92), (250, 150, 45), (255, 255, 205)),
    "signed": ((24, 70, 160), (120, 170, 220), (247, 247, 247), (235, 130, 95), (160, 20, 40)),
    "grey": ((0, 0, 0), (255, 255, 255)),
}
NOTHING = (128, 128, 128)
"""Colour of missing values."""

_HUES = np.array(
    [[round(255 * part) for part in colorsys.hsv_to_rgb(i / 360, 1, 1)] for i in range(360)]
)


def coloured(
    values: NDArray[np.floating], low: float, high: float, palette: Palette
) -> NDArray[np.uint8]:
    """Colours ``(h, w, 3)`` of values ``(h, w)``, clipped to ``low`` and ``high``.

    For ``direction`` the values are ``(h, w, 2)``: down and to the right.
    """
    if palette == "direction":
        return _directions(values, high)
    ramp = np.array(RAMPS[palette], np.float64)
    span = high - low or 1.0
    places = np.clip((np.nan_to_num(values) - low) / span, 0, 1) * (len(ramp) - 1)
    stops = np.arange(len(ramp))
    planes = [np.interp(places, stops, ramp[:, channel]) for channel in range(3)]
    colours = np.rint(np.stack(planes, axis=-1)).astype(np.uint8)
    colours[~np.isfinite(values)] = NOTHING
    return np.asarray(colours, np.uint8)


def _directions(steps: NDArray[np.floating], longest: float) -> NDArray[np.uint8]:
    """White for no displacement, red to the right, hues clockwise."""
    down, right = steps[..., 0].astype(np.float64), steps[..., 1].astype(np.float64)
    degrees = np.rint(np.degrees(np.arctan2(down, right))).astype(int) % 360
    far = np.clip(np.hypot(down, right) / (longest or 1.0), 0, 1)[..., None]
    return np.asarray(np.rint(255 + far * (_HUES[degrees] - 255.0)), np.uint8)


@dataclass(frozen=True, slots=True)
class Map:
    """Values over a part of a slide, and how to read them."""

    name: str
    """Base name of its files, such as ``attention-block-1``."""
    title: str
    meaning: str
    """Explanation in a sentence or two."""
    unit: str
    values: NDArray[Any]
    """``(h, w)``, ``(h, w, 2)`` for directions (down, right), or ``(h, w, 3)`` for RGB."""
    low: float
    high: float
    """End of the displayed range."""
    palette: Palette
    region: Region
    """Covered region, level-0 pixels."""
    downsample: float
    """Level-0 pixels per value."""
    scale: str = ""
    """How the displayed range was chosen, in a sentence; empty where the range says it all."""

    @property
    def legend(self) -> str:
        """What the values mean, and how the displayed range was chosen."""
        return f"{self.meaning} {self.scale}".strip()

    @property
    def shown(self) -> NDArray[Any]:
        """``(h, w)``: the values, or their mean over RGB; directions as they are."""
        if self.values.ndim == 3 and self.palette != "direction":
            return np.asarray(self.values.mean(-1))
        return self.values

    @property
    def stretched(self) -> Map:
        """The same with a range from the 1st to the 99th percentile of its values."""
        if self.palette == "direction":
            return self
        low, high = (float(v) for v in np.nanpercentile(self.shown, (1, 99)))
        if self.low == -self.high and self.palette != "heat":
            high = max(abs(low), abs(high))
            low = -high
        scale = "Auto contrast, 1–99 % of this field: colours of two fields do not compare."
        return replace(self, low=low, high=high if high > low else low + 1e-6, scale=scale)


def attention_map(field: Field, block: int | None = None) -> Map:
    """S of a block, or its mean over all, on the LR grid."""
    which = f"block {block} of {field.blocks}" if block else f"mean of {field.blocks} blocks"
    return Map(
        name=f"attention-block-{block}" if block else "attention-mean",
        title=f"Attention S, {which}",
        meaning=(
            "Similarity of each patch and its match in the wavelet branch: 1 the same direction, "
            "0 nothing in common, −1 opposite. The match's texture is added in proportion, below "
            "0 with its sign reversed."
        ),
        unit="cosine",
        values=attention(field, block),
        low=-1.0,
        high=1.0,
        palette="heat",
        region=field.plan.region,
        downsample=field.plan.downsample,
    )


def displacement_map(field: Field, block: int) -> Map:
    """Steps from each LR pixel to its match, as directions, in LR pixels."""
    steps = displacement(field, block).astype(np.float32)
    longest = float(np.hypot(steps[..., 0], steps[..., 1]).max())
    return Map(
        name=f"displacement-block-{block}",
        title=f"Where the texture came from, block {block} of {field.blocks}",
        meaning=(
            "The step from a patch to its match: hue shows the direction, saturation the distance; "
            f"white is the same place. {matches_sentence(field, block)}"
        ),
        unit="LR pixels",
        values=steps,
        low=0.0,
        high=rounded_up(longest) if longest else 1.0,
        palette="direction",
        region=field.plan.region,
        downsample=field.plan.downsample,
    )


def probe_map(field: Field, probe: Probe) -> Map:
    """r(i, ·) of one query, over the tile that computed it."""
    x, y = probe.asked
    return Map(
        name=f"probe-block-{probe.block}",
        title=f"Relevance to the patch at {x:.0f}, {y:.0f}, block {probe.block}",
        meaning=(
            "r(i, ·): similarity to the queried patch of every patch that the network could see, "
            f"which is one tile. {probe.sentence}"
        ),
        unit="cosine",
        values=probe.relevance,
        low=float(probe.relevance.min()),
        high=float(probe.relevance.max()),
        palette="heat",
        region=probe.region,
        downsample=field.plan.downsample,
    )


def rounded_up(value: float) -> float:
    """The value rounded up to one of 1, 2, 3, 5, 10, 20, 30 … (times a power of ten); 1 for 0.

    >>> rounded_up(3.2), rounded_up(0.07), rounded_up(0)
    (5.0, 0.1, 1.0)
    """
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        float(step * power) for step in (1, 2, 3, 5, 10) if value <= step * power * (1 + 1e-9)
    )
