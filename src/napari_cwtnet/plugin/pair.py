"""A computed layer and the slide that it is compared with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from napari_cwtnet.plugin.badge import is_computed
from napari_cwtnet.plugin.slide_layer import slide_of

_SHARED = ("contrast_limits", "gamma")


@dataclass(frozen=True, slots=True)
class Pair:
    """What is compared, in which viewer; napari's own objects, no proxies."""

    viewer: Any
    slide: Any
    result: Any

    @property
    def there(self) -> bool:
        """Whether both layers are still in the viewer."""
        return all(among(layer, self.viewer.layers) for layer in self.both)

    @property
    def both(self) -> list[Any]:
        """The slide and the result."""
        return [self.slide, self.result]

    @property
    def rivals(self) -> list[Any]:
        """Other slides and results that are shown, and could be taken for one of these."""
        pictures = [one for one in self.others if is_computed(one) or slide_of(one) is not None]
        return [one for one in pictures if one.visible]

    @property
    def others(self) -> list[Any]:
        """All the other layers that are shown."""
        return [one for one in self.viewer.layers if one.visible and not among(one, self.both)]

    def link_contrast(self) -> None:
        """Show both with the slide's contrast, whatever becomes of it, until `unlink_contrast`."""
        for name in (*_SHARED, "interpolation2d"):
            setattr(self.result, name, getattr(self.slide, name))
        self.viewer.layers.link_layers(self.both, _SHARED)

    def unlink_contrast(self) -> None:
        """Leave both to themselves."""
        self.viewer.layers.unlink_layers(self.both, _SHARED)


class Hidden:
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


def among(layer: Any, layers: Iterable[Any]) -> bool:
    """Whether a layer is one of these, itself and no equal one."""
    return any(one is layer for one in layers)
