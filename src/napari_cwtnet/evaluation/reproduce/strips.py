"""LR, what each method makes of it, and the truth, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_cwtnet.files import written_whole
from napari_cwtnet.training.tissue import tissue_mask

GIVEN = "-given-the-reference"
"""In the name of a sheet whose rows start from the next-higher level."""

SIDE = 112
"""Truth pixels of a part that is shown, which is shown twice as large."""

SHOWN = 2
"""Fields of a table that have a sheet."""

LEAST_SHOWN_TISSUE = 0.5
"""Share of tissue in the part that is shown; with less it is mostly empty glass."""

RULE = (
    f"{SHOWN} by chance (seed 0) from those whose middle, as shown, is tissue in "
    f"{LEAST_SHOWN_TISSUE:.0%} of its pixels or more; where these are too few, from the others"
)
"""How fields are chosen for the sheets, in words."""

_ENLARGED = 2
_CAPTION = 34
_ACROSS = 6
_GAP = 6
_QUALITY = 82


def middle(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The middle ``side × side`` pixels of ``(h, w, 3)``, or all of a smaller one."""
    height, width = image.shape[:2]
    h, w = min(side, height), min(side, width)
    y, x = (height - h) // 2, (width - w) // 2
    return image[y : y + h, x : x + w]


def chosen_for_sheets(truths: Sequence[NDArray[np.uint8]]) -> list[int]:
    """Indices of the fields that are shown, as `RULE` says, by their truths ``(h, w, 3)``."""
    drawn: list[int] = np.random.default_rng(0).permutation(len(truths)).tolist()
    tissue = [tissue_mask(middle(truth, SIDE)).mean() for truth in truths]
    drawn.sort(key=lambda index: bool(tissue[index] < LEAST_SHOWN_TISSUE))  # else as drawn
    return drawn[:SHOWN]


def save_strip(parts: Mapping[str, NDArray[np.uint8]], path: Path) -> None:
    """Write a sheet of pictures, each below its name.

    Parameters
    ----------
    parts : mapping of str to array
        ``(h, w, 3)`` uint8; LR may be smaller: it is shown as it is, in larger pixels.
    path : Path
        Ends in ``.jpg``.
    """
    side = max(max(image.shape[:2]) for image in parts.values()) * _ENLARGED
    columns = min(_ACROSS, len(parts))
    rows = -(-len(parts) // columns)
    size = (columns * (side + _GAP) + _GAP, rows * (side + _CAPTION + _GAP) + _GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for number, (name, image) in enumerate(parts.items()):
        x = _GAP + (number % columns) * (side + _GAP)
        y = _GAP + (number // columns) * (side + _CAPTION + _GAP)
        caption = name.replace("×", "x")  # Pillow's own font has no such sign
        draw.multiline_text((x, y), caption, fill="black", font=font, spacing=2)
        shown = Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(shown, (x, y + _CAPTION))
    with written_whole(path) as partial:
        sheet.save(partial, format="JPEG", quality=_QUALITY, optimize=True)
