"""Which result a dock is about, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_cwtnet.enhancement import Plan, Quality
from napari_cwtnet.plugin.badge import RESULT_KEY, is_computed
from napari_cwtnet.plugin.enhance_run import Job
from napari_cwtnet.plugin.following import scanned_slides, slide_made_of
from napari_cwtnet.plugin.slide_layer import slide_of
from napari_cwtnet.slides import Slide

SOURCE_KEY = "napari_cwtnet_source"
"""Of a result layer's metadata: the `Source` is under it."""


@dataclass(frozen=True, slots=True)
class Source:
    """How a result layer was made, and over what it lies."""

    job: Job
    plan: Plan
    slide_layer: Any

    @property
    def slide(self) -> Slide:
        """The slide as it is shown now: with the pixel size that the user may have set since."""
        return slide_of(self.slide_layer) or self.job.slide


def source_of(layer: Any) -> Source | None:
    """How a layer was made; None for layers that no dock of this session made.

    A single channel that napari split off has the metadata of the whole, and is none either.
    """
    found = layer.metadata.get(SOURCE_KEY) if getattr(layer, "rgb", False) else None
    return found if isinstance(found, Source) else None


def shown_result(viewer: Any) -> Any | None:
    """The result that is meant: of those that are shown, or else of all, the active or topmost."""
    return _foremost(viewer, lambda layer: source_of(layer) is not None)


def shown_quality(viewer: Any) -> tuple[Plan, Quality] | None:
    """What was measured of the result that is meant; None if it is not complete, or not known."""
    result = shown_result(viewer)
    source = source_of(result)
    if result is None or source is None or not _holds(viewer, source.slide_layer):
        return None
    figures = result.metadata[RESULT_KEY].get("quality")
    return None if figures is None else (source.plan, Quality(**figures))


def shown_computed(viewer: Any) -> Any | None:
    """The same among all computed pictures, such as exported results that were opened again."""
    return shown_result(viewer) or _foremost(
        viewer, lambda layer: is_computed(layer) and slide_of(layer) is not None
    )


def compared_slide(viewer: Any, result: Any) -> Any | None:
    """The slide layer that a computed layer is to be compared with."""
    source = source_of(result)
    if source is not None and _holds(viewer, source.slide_layer):
        return source.slide_layer
    own = slide_made_of(result, scanned_slides(viewer))
    return own or _foremost(viewer, lambda one: slide_of(one) is not None and not is_computed(one))


def _holds(viewer: Any, layer: Any) -> bool:
    return any(one == layer for one in viewer.layers)


def _foremost(viewer: Any, suits: Any) -> Any | None:
    found = [layer for layer in reversed(viewer.layers) if suits(layer)]
    active = viewer.layers.selection.active
    return min(found, key=lambda one: (not one.visible, one != active), default=None)
