"""Images that this package wrote say so; here it is read back, lest they be taken for a slide."""

from __future__ import annotations

import re
from collections.abc import Mapping

_WHERE = ("png.Title", "tiff.ImageDescription")
_BADGE = re.compile(r"(?:COMPUTED|ORACLE) ×\d+ · [^\"<>]*?research use only")


def computed_badge(properties: Mapping[str, str]) -> str | None:
    """The badge of a computed image, from its file's properties; None for anything else.

    >>> computed_badge({"png.Title": "COMPUTED ×2 · downsample 1 · a · research use only"})
    'COMPUTED ×2 · downsample 1 · a · research use only'
    """
    for name in _WHERE:
        found = _BADGE.search(properties.get(name, ""))
        if found:
            return found.group()
    return None
