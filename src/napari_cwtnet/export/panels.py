"""Pictures for people: images side by side, each with its name and figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_GAP = 8
_LINE = 22
_FONT_SIZE = 15
_INK = (20, 20, 20)
_COMPUTED_INK = (170, 30, 30)
# Pillow's own font, the only one that is always there, has no other signs for these.
PLAIN = str.maketrans({"µ": "u", "×": "x", "—": "-"})


def labelled(image: NDArray[np.uint8], lines: Sequence[str], *, computed: bool) -> Image.Image:
    """An image ``(height, width, 3)`` with lines of text above it; red says computed."""
    header = _LINE * len(lines) + _GAP
    panel = Image.new("RGB", (image.shape[1], image.shape[0] + header), "white")
    panel.paste(Image.fromarray(np.ascontiguousarray(image)), (0, header))
    draw = ImageDraw.Draw(panel)
    font = ImageFont.load_default(_FONT_SIZE)
    for number, line in enumerate(lines):
        ink = _COMPUTED_INK if computed and number == 0 else _INK
        draw.text((2, 2 + number * _LINE), line.translate(PLAIN), fill=ink, font=font)
    return panel


def magnified_centre(image: NDArray[np.uint8], side: int, factor: int) -> NDArray[np.uint8]:
    """The middle ``side × side`` pixels, each shown as ``factor × factor`` of its own colour."""
    height, width = image.shape[:2]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    centre = image[top : top + side, left : left + side]
    return centre.repeat(factor, axis=0).repeat(factor, axis=1)


def side_by_side(panels: Sequence[Image.Image]) -> NDArray[np.uint8]:
    """Panels in one row on white, ``(height, width, 3)`` uint8."""
    width = sum(p.width for p in panels) + _GAP * (len(panels) + 1)
    height = max(p.height for p in panels) + 2 * _GAP
    row = Image.new("RGB", (width, height), "white")
    left = _GAP
    for panel in panels:
        row.paste(panel, (left, _GAP))
        left += panel.width + _GAP
    return np.asarray(row)
