"""Letters on pictures: a font, and words in the characters that it has."""

from __future__ import annotations

import functools
import textwrap
from typing import Any

from PIL import ImageFont

from napari_cwtnet.export.save import PLAIN

# Pillow's own font lacks the micro and the multiplication sign; most systems have one of these.
_FONTS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "arial.ttf", "Helvetica.ttc")
_MORE = PLAIN | str.maketrans({"−": "-", "≤": "<=", "′": "'"})


@functools.cache
def font_of(size: int) -> Any:
    """The system's font of that size, or Pillow's own."""
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def plain(text: str, font: Any) -> str:
    """Without the characters that the font lacks."""
    named = str(getattr(font, "path", ""))
    return text if named.endswith(_FONTS) else text.translate(_MORE)


def wrapped(text: str, font: Any, width: int) -> list[str]:
    """Lines of at most ``width`` pixels, in characters that the font has."""
    text = plain(text, font)
    fitting = max(8, int(width * len(text) / max(1.0, font.getlength(text))) + 4)
    while True:
        lines = textwrap.wrap(text, fitting) or [""]
        if fitting <= 8 or max(font.getlength(line) for line in lines) <= width:
            return lines
        fitting -= 1
