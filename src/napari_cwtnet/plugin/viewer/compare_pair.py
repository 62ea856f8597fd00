"""The two sides of a comparison: a result, and the slide, plain enlargement or another result."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from PIL import Image as Picture

from napari_cwtnet.enhancement import Plan, enlarged
from napari_cwtnet.enhancement.quality import signed_difference, slide_on_grid
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY, is_computed
from napari_cwtnet.plugin.viewer.selection import (
    Source,
    compared_slide,
    holds,
    is_result,
    source_of,
)
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.plugin.viewer.viewport import lay_over

Kind = Literal["slide", "bicubic", "result"]

_SHARED = ("contrast_limits", "gamma")
_SMOOTH = "linear"
_OPAQUE = 250


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a result may be compared with.

    Parameters
    ----------
    kind : {"slide", "bicubic", "result"}
        The slide, the plain enlargement of the pixels that the model read, or another result.
    layer : Layer, optional
        The other result's.
    """

    kind: Kind
    layer: Any = None

    @property
    def text(self) -> str:
        """Its name in a list."""
        names = {"slide": "The slide", "bicubic": "Plain enlargement"}
        return names.get(self.kind) or f"{label_of(self.layer)}"

    @property
    def tip(self) -> str:
        """What it shows."""
        if self.kind == "slide":
            return "The scanned pixels, drawn smoothly while you compare, not as blocks"
        if self.kind == "bicubic":
            return "The pixels that the model read, enlarged without a model (bicubic)"
        return f"Another result: {self.layer.name}"

    @property
    def words(self) -> str:
        """Its name in a sentence."""
        return {"slide": "the slide", "bicubic": "plain enlargement"}.get(self.kind) or self.text

    @property
    def short(self) -> str:
        """Its name on the canvas."""
        return {"slide": "slide", "bicubic": "plain enlargement"}.get(self.kind) or self.text


SLIDE, BICUBIC = Baseline("slide"), Baseline("bicubic")


def label_of(result: Any) -> str:
    """ROI, model and pixel size of a result, such as ``cwtnet-lite-x2 · 0.25 µm/px``."""
    known, slide, source = result.metadata.get(RESULT_KEY, {}), slide_of(result), source_of(result)
    model, mpp = known.get("model"), known.get("output_mpp")
    if model is None:
        return slide.path.name if slide is not None else str(result.name)
    roi = "" if source is None else source.job.roi
    pixel = "" if mpp is None else f"{mpp:.3g} µm/px"
    return " · ".join(filter(None, (roi, Path(str(model)).stem, pixel)))


def baselines_of(viewer: Any, result: Any) -> list[Baseline]:
    """What there is to compare a result with, in the order of a list."""
    slide = compared_slide(viewer, result)
    found = [SLIDE] if slide is not None else []
    if source_of(result) is not None:
        found.append(BICUBIC)
    others = [
        layer
        for layer in reversed(viewer.layers)
        if layer is not result
        and is_result(layer)
        and compared_slide(viewer, layer) == slide
        and _overlap(layer, result)
    ]
    return [*found, *(Baseline("result", layer) for layer in others)]


def _overlap(one: Any, other: Any) -> bool:
    (low, high), (least, most) = (layer.extent.world[:, -2:] for layer in (one, other))
    return bool((low < most).all() and (least < high).all())


@dataclass(slots=True)
class Pair:
    """What is compared, in which viewer; napari's own objects, no proxies.

    Parameters
    ----------
    viewer : Viewer
        Where both are.
    slide : Image
        The slide that the result lies over.
    base : Image
        The layer of the baseline: the slide's own, another result's, or one made for it.
    result : Image
        What is compared with it.
    baseline : Baseline
        What ``base`` shows.
    """

    viewer: Any
    slide: Any
    base: Any
    result: Any
    baseline: Baseline
    _drawn: list[tuple[Any, str]] = field(default_factory=list)

    @property
    def there(self) -> bool:
        """Whether both layers, their slide and what is subtracted are still in the viewer."""
        needed = [*self.both, self.slide, self.baseline.layer or self.slide]
        return all(holds(self.viewer, layer) for layer in needed)

    @property
    def both(self) -> list[Any]:
        """Baseline and result."""
        return [self.base, self.result]

    @property
    def names(self) -> tuple[str, str]:
        """What is written beside the two halves."""
        if self.baseline.kind == "result":
            return self.baseline.short, label_of(self.result)
        return self.baseline.short, "computed"

    @property
    def rivals(self) -> list[Any]:
        """Other slides and results that are shown, and could be taken for one of these."""
        pictures = [one for one in self.others if is_computed(one) or slide_of(one) is not None]
        return [one for one in pictures if one.visible]

    @property
    def others(self) -> list[Any]:
        """All the other layers that are shown."""
        return [one for one in self.viewer.layers if one.visible and one not in self.both]

    def draw_alike(self) -> None:
        """Give both the slide's contrast, and draw both smoothly, until `draw_as_before`."""
        for layer in self.both:
            self._drawn.append((layer, str(layer.interpolation2d)))
            layer.interpolation2d = _SMOOTH
            for name in _SHARED:
                setattr(layer, name, getattr(self.slide, name))
        self.viewer.layers.link_layers(self._linked, _SHARED)

    def draw_as_before(self) -> None:
        """Leave both to themselves."""
        self.viewer.layers.unlink_layers(self._linked, _SHARED)
        for layer, interpolation in self._drawn:
            layer.interpolation2d = interpolation
        self._drawn.clear()

    @property
    def _linked(self) -> list[Any]:
        return self.both if self.base is self.slide else [self.slide, *self.both]


def bicubic_layer(slide_layer: Any, plan: Plan, pixels: NDArray[np.uint8]) -> Image:
    """A layer of the plain enlargement, where the result is."""
    layer = Image(pixels, rgb=True, name="Plain enlargement (bicubic)")
    lay_over(layer, slide_layer, plan.region, plan.output_downsample)
    return layer


def enlargement(source: Source) -> NDArray[np.uint8]:
    """What bicubic interpolation makes of the pixels that the model read; takes its time."""
    return enlarged(source.job.slide, source.plan, reference=False)


def difference(
    source: Source, pixels: NDArray[np.uint8], baseline: Baseline, other: Other | None
) -> NDArray[np.float32]:
    """Result minus baseline in grey levels, NaN where one of them has no pixels; takes its time.

    Parameters
    ----------
    source : Source
        How the result was made.
    pixels : ndarray
        ``(height, width, 4)`` uint8 RGBA, the result.
    baseline : Baseline
        What is subtracted.
    other : Other, optional
        Pixels and place of the other result, where that is the baseline.
    """
    there = pixels[..., 3] > 0
    if other is not None:
        base, covered = other.on_grid(source.plan)
        there = there & covered
    elif baseline.kind == "slide":
        base = slide_on_grid(source.job.slide, source.plan)
    else:
        base = enlargement(source)
    found = signed_difference(pixels[..., :3], base)
    found[~there] = np.nan
    return found


@dataclass(frozen=True, slots=True)
class Other:
    """Another result: ``(height, width, 4)`` uint8 RGBA, and how it was made."""

    pixels: NDArray[np.uint8]
    plan: Plan

    def on_grid(self, plan: Plan) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Its pixels ``(height, width, 3)`` on the grid of ``plan``, and where it has any."""
        picture, wanted = Picture.fromarray(self.pixels), plan.output_downsample
        own = [self.plan.output_downsample] * 2
        if wanted > own[0]:  # shrunk first, for a transform alone would skip pixels
            covered = [length * own[0] for length in picture.size]
            width, height = (max(1, round(length / wanted)) for length in covered)
            picture = picture.resize((width, height), Picture.Resampling.BICUBIC)
            own = [covered[0] / width, covered[1] / height]
        (x, y), (own_x, own_y) = _corner(plan), _corner(self.plan)
        left, top = (x - own_x) / own[0], (y - own_y) / own[1]
        moved = picture.transform(
            plan.output_size,
            Picture.Transform.AFFINE,
            (wanted / own[0], 0, left, 0, wanted / own[1], top),
            Picture.Resampling.BICUBIC,
        )
        rgba = np.asarray(moved)
        return rgba[..., :3], rgba[..., 3] >= _OPAQUE


def _corner(plan: Plan) -> tuple[float, float]:
    return plan.region.x, plan.region.y
