"""Which layers show computed pixels."""

from __future__ import annotations

from typing import Any

RESULT_KEY = "napari_cwtnet_result"
"""Of a computed layer's metadata: what is known of it is under it."""

MARKS_KEY = "napari_cwtnet_marks"
"""Of the metadata of a Shapes layer that this plugin drew: its shapes are nobody's ROIs."""


def is_computed(layer: Any) -> bool:
    """Whether a layer shows computed pixels of this plugin."""
    return RESULT_KEY in layer.metadata
