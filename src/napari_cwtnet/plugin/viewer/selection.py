"""Which slide a dock is about, as layers come, go and are chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_cwtnet.enhancement import Plan, Quality
from napari_cwtnet.errors import CwtnetError, RequestError
from napari_cwtnet.plugin.tasks.enhance import Job
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY, is_computed
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.slides import Slide

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


class HiddenLayers:
    """Layers that are out of sight for a while."""

    def __init__(self) -> None:
        self._layers: list[Any] = []

    def hide(self, layers: Iterable[Any]) -> None:
        """Hide these too."""
        for layer in layers:
            layer.visible = False
            self._layers.append(layer)

    def show_again(self) -> None:
        """Show them as they were; it does no harm to one that was deleted meanwhile."""
        for layer in self._layers:
            layer.visible = True
        self._layers = []


def slide_layer_in(viewer: ViewerModel, last: Image | None = None) -> Image | None:
    """The active layer if it is a slide's, else the last one meant, else the topmost slide."""
    active = viewer.layers.selection.active
    if slide_of(active) is not None:
        return active
    if last is not None and holds(viewer, last):
        return last
    return next(iter(_slides(viewer)), None)


def source_layer_in(viewer: ViewerModel, last: Image | None = None) -> Image | None:
    """The slide that a network is to read: `slide_layer_in`, but a scanned one where there is one.

    An exported result that was just opened is active, and would else be enhanced once more. The
    slide that it was made of comes first, then the last one meant, then the topmost.
    """
    meant = slide_layer_in(viewer, last)
    if meant is None or not is_computed(meant):
        return meant
    scanned = sorted(scanned_slides(viewer), key=lambda layer: layer != last)
    own = slide_made_of(meant, scanned)
    return own if own is not None else next(iter(scanned), meant)


def slide_made_of(computed: Any, layers: list[Any]) -> Any | None:
    """The one of some slides' layers that an exported result, opened again, was made of."""
    result = slide_of(computed)
    wanted = None if result is None else result.computed_from
    if wanted is None:
        return None
    return next((layer for layer in layers if _fingerprint(layer) == wanted), None)


def _fingerprint(layer: Any) -> str | None:
    """None also if the slide cannot be read: Enhance then says why."""
    slide = slide_of(layer)
    try:
        return None if slide is None or slide.closed else slide.fingerprint
    except CwtnetError:
        return None


def _slides(viewer: ViewerModel) -> list[Any]:
    """Layers of slides, topmost first."""
    return [layer for layer in reversed(viewer.layers) if slide_of(layer) is not None]


def scanned_slides(viewer: ViewerModel) -> list[Any]:
    """Layers of slides that are not themselves computed, topmost first."""
    return [layer for layer in _slides(viewer) if not is_computed(layer)]


SOURCE_KEY = "napari_cwtnet_source"
"""Of a result layer's metadata: the `Source` is under it."""

ERROR_KEY = "napari_cwtnet_error"
"""The predicted error of a result, ``(h, w)`` on the LR grid; None until all of it is there, or
where the model predicts none."""

MARK_KEY = "napari_cwtnet_mark"
"""The squares of a result that were marked, which its export writes as a mask; else None."""


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


def made_here(layer: Any | None) -> Source:
    """How a result was made.

    Raises
    ------
    RequestError
        If there is none, or it is a file that was opened again.
    """
    source, slide = source_of(layer), slide_of(layer)
    if source is not None:
        return source
    if slide is not None:
        raise RequestError(
            f"{slide.path.name} is a file already; copy it with its record, which tells how it was "
            "made."
        )
    raise RequestError("There is no result; enhance the view or an ROI first.")


def shown_result(viewer: Any) -> Any | None:
    """The result that is meant, exported ones that were opened again among them.

    Of those that are shown, or else of all, the active one, else the topmost; none that was put
    away with its slide.
    """
    return _foremost(
        viewer,
        lambda layer: is_result(layer) and not _is_put_away(viewer, layer),
    )


def is_result(layer: Any) -> bool:
    """Whether a layer was made here, or is an exported result that was opened again."""
    return source_of(layer) is not None or (is_computed(layer) and slide_of(layer) is not None)


def _is_put_away(viewer: Any, layer: Any) -> bool:
    """Whether another slide is shown than the one that a result lies over."""
    source = source_of(layer)
    return (
        source is not None
        and not layer.visible
        and holds(viewer, source.slide_layer)
        and not source.slide_layer.visible
    )


def follow_shown(viewer: Any, call: Callable[..., None]) -> None:
    """Call whenever another result may be the one that is meant."""

    def inserted(event: Any) -> None:
        event.value.events.visible.connect(call)
        call()

    layers = viewer.layers
    for layer in layers:
        layer.events.visible.connect(call)
    layers.events.inserted.connect(inserted)
    for changed in (layers.events.removed, layers.events.reordered, layers.selection.events.active):
        changed.connect(call)


def quality_of(viewer: Any, result: Any | None) -> tuple[Plan, Quality] | None:
    """What was measured of a result; None if it is not complete, not known, or has no slide."""
    source = source_of(result)
    if result is None or source is None or not holds(viewer, source.slide_layer):
        return None
    figures = result.metadata[RESULT_KEY].get("quality")
    return None if figures is None else (source.plan, Quality(**figures))


def compared_slide(viewer: Any, result: Any) -> Any | None:
    """The slide layer that a computed layer is to be compared with."""
    source = source_of(result)
    if source is not None and holds(viewer, source.slide_layer):
        return source.slide_layer
    own = slide_made_of(result, scanned_slides(viewer))
    return own or _foremost(viewer, lambda one: slide_of(one) is not None and not is_computed(one))


def holds(viewer: Any, layer: Any) -> bool:
    """Whether a layer is in the viewer."""
    return any(one == layer for one in viewer.layers)


def _foremost(viewer: Any, suits: Any) -> Any | None:
    found = [layer for layer in reversed(viewer.layers) if suits(layer)]
    active = viewer.layers.selection.active
    return min(found, key=lambda one: (not one.visible, one != active), default=None)
