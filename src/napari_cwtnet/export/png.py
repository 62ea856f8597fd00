"""A computed image as PNG, with its provenance as text and, if wanted, its badge on the pixels."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from napari_cwtnet.export.panels import PLAIN
from napari_cwtnet.slides.colour import SRGB_PROFILE

_BOX, _INK = (122, 31, 31), (255, 255, 255)
_FONT_SIZES = (10, 28)
_MARGIN = 4


def write_png(
    path: Path, image: NDArray[np.uint8], provenance: Mapping[str, Any], mpp: float | None
) -> None:
    """Write ``(height, width, 3)`` uint8 RGB."""
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("Title", provenance.get("badge", "COMPUTED"))
    notes.add_itxt("Comment", json.dumps(dict(provenance), ensure_ascii=False))
    options: dict[str, Any] = {} if mpp is None else {"dpi": (25_400 / mpp, 25_400 / mpp)}
    if provenance.get("icc_to_srgb"):
        options["icc_profile"] = SRGB_PROFILE
    Image.fromarray(image).save(path, format="PNG", pnginfo=notes, **options)


def with_badge(image: NDArray[np.uint8], badge: str) -> NDArray[np.uint8]:
    """A copy of an image with its badge on the upper edge, for people; no longer for measuring.

    The size stays; a picture too narrow for the badge gets it on several lines.
    """
    picture = Image.fromarray(image)  # copies
    smallest, largest = _FONT_SIZES
    font = ImageFont.load_default(min(largest, max(smallest, picture.width // 45)))
    draw = ImageDraw.Draw(picture)
    text = badge.translate(PLAIN)
    while draw.multiline_textbbox((0, 0), text, font=font)[2] > picture.width - 2 * _MARGIN:
        longest = max(len(line) for line in text.splitlines())
        if longest <= 1:
            break
        text = "\n".join(textwrap.wrap(badge.translate(PLAIN), longest - 1))
    bottom = draw.multiline_textbbox((_MARGIN, _MARGIN), text, font=font)[3]
    draw.rectangle((0, 0, picture.width, bottom + _MARGIN), fill=_BOX)
    draw.multiline_text((_MARGIN, _MARGIN), text, fill=_INK, font=font)
    return np.asarray(picture)
