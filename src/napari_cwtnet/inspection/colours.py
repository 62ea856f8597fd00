"""Values into colours: the same ramps on the canvas, in pictures and in reports."""

from __future__ import annotations

import colorsys
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Palette = Literal["heat", "signed", "grey", "direction"]
"""``heat``: more is brighter; ``signed``: blue, white, red about the middle; ``grey``: black to
white; ``direction``: hue tells where to, saturation how far."""

RAMPS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "heat": ((0, 0, 0), (64, 18, 112), (190, 48, 92), (250, 150, 45), (255, 255, 205)),
    "signed": ((24, 70, 160), (120, 170, 220), (247, 247, 247), (235, 130, 95), (160, 20, 40)),
    "grey": ((0, 0, 0), (255, 255, 255)),
}
NOTHING = (128, 128, 128)
"""Where there is no value."""

_HUES = np.array(
    [[round(255 * part) for part in colorsys.hsv_to_rgb(i / 360, 1, 1)] for i in range(360)]
)


def coloured(
    values: NDArray[np.floating], low: float, high: float, palette: Palette
) -> NDArray[np.uint8]:
    """Colours ``(h, w, 3)`` of values ``(h, w)``; what lies beyond ``low`` and ``high`` is clipped.

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
    """White where nothing moved; right is red, and hues go round clockwise."""
    down, right = steps[..., 0].astype(np.float64), steps[..., 1].astype(np.float64)
    degrees = np.rint(np.degrees(np.arctan2(down, right))).astype(int) % 360
    far = np.clip(np.hypot(down, right) / (longest or 1.0), 0, 1)[..., None]
    return np.asarray(np.rint(255 + far * (_HUES[degrees] - 255.0)), np.uint8)
