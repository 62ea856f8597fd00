"""A warning where a slide is of a stain that the chosen model has never seen."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable

from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.model.weights import ModelHeader
from napari_cwtnet.plugin.tasks.model_list import MODELS
from napari_cwtnet.plugin.tasks.runner import in_background
from napari_cwtnet.slides import Slide
from napari_cwtnet.slides.stain import Stain, stain_of

_NAMES = {
    "brown": ("immunohistochemistry, brown", ("ihc", "dab", "immuno")),
    "fluorescence": ("fluorescence", ("fluo", "dapi", "immunofluo")),
}
"""How a stain is called, and by which parts of its name a model says that it has seen it."""


class StainHints:
    """Looks once at each slide, beside the window's thread.

    Parameters
    ----------
    changed : callable
        Called on the GUI thread when another slide's stain is known.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._stains: weakref.WeakKeyDictionary[Slide, Stain | None] = weakref.WeakKeyDictionary()

    def hint_of(self, slide: Slide | None, model: str | None) -> str:
        """The same of a model by its name; one that cannot be read says so elsewhere."""
        with contextlib.suppress(CwtnetError):
            return self.hint(slide, MODELS.header(model))
        return ""

    def hint(self, slide: Slide | None, header: ModelHeader | None) -> str:
        """One sentence; empty where there is nothing to warn of, or nothing is known yet."""
        if slide is None or header is None:
            return ""
        if slide not in self._stains:
            self._stains[slide] = None
            self._look(slide)
        stain, seen = self._stains[slide], header.provenance.get("stains")
        return "" if stain is None or not isinstance(seen, list) else words_of(stain, seen, header)

    def _look(self, slide: Slide) -> None:
        def answer(stain: Stain) -> None:
            self._stains[slide] = stain
            self._changed()

        in_background(lambda: stain_of(slide), answer, lambda _: None)


def words_of(stain: Stain, seen: list[object], header: ModelHeader) -> str:
    """The warning about a stain; empty where the model has seen it.

    Parameters
    ----------
    stain : {"light", "brown", "fluorescence", "none"}
        Of the slide.
    seen : list
        The stains that the model's provenance names.
    header : ModelHeader
        The model.
    """
    if stain not in _NAMES:
        return ""
    name, parts = _NAMES[stain]
    named = [str(one) for one in seen]
    if any(part in one.lower() for one in named for part in parts):
        return ""
    known = " and ".join(named)
    return f"This looks like {name}. {header.name} has only seen {known}: Check here first."
