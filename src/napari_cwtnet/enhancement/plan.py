"""Planning: from a request to its tiles, and the sentence that describes it."""

from __future__ import annotations

import math
import threading
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

from cachetools import LRUCache

from napari_cwtnet.enhancement.badge import badge_words
from napari_cwtnet.enhancement.tiling import Grid, Lattice, Tile, steps
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region, Size, describe_resolution
from napari_cwtnet.model import Model
from napari_cwtnet.model.weights import ModelHeader
from napari_cwtnet.slides import Slide
from napari_cwtnet.slides.degradation import Degradation, Kernel

ReferenceChoice = Literal["auto", "next", "none"]
Sharpness = Literal["auto", "sharp", "medium", "soft", "softest"]

KERNELS: dict[str, Kernel] = {
    "sharp": Kernel("box"),
    "medium": Kernel("bicubic"),
    "soft": Kernel("gauss", 0.8),
    "softest": Kernel("gauss", 1.2),
}
"""The kernel assumed for each sharpness."""
UNCHECKED = "cannot be checked: the scanner recorded nothing this fine"


@dataclass(frozen=True, slots=True)
class EnhanceRequest:
    """A region to enhance.

    Parameters
    ----------
    region : Region
        Level-0 pixels.
    downsample : float
        Level-0 pixels per LR pixel, at least 1.
    reference : {"auto", "next", "none"}
        WT input: chosen for the model, the next-higher level, or none.
    grid : Grid, optional
        Grid of the tiles, for regions to share; by default fitted to the region.
    sharpness : {"auto", "sharp", "medium", "soft", "softest"}
        Assumed sharpness of a slide whose file does not reveal it: the softer, the more the
        model sharpens. ``auto`` leaves it to the model.

    Raises
    ------
    RequestError
        If the downsample is below 1, or the reference or the sharpness is unknown.
    """

    region: Region
    downsample: float
    reference: ReferenceChoice = "auto"
    grid: Grid | None = None
    sharpness: Sharpness = "auto"

    def __post_init__(self) -> None:
        if not math.isfinite(self.downsample) or self.downsample < 1:
            raise RequestError(
                f"Downsample {self.downsample:g} is below 1; the slide's finest level is 1, so "
                "give a number of at least 1."
            )
        if self.reference not in get_args(ReferenceChoice):
            raise RequestError(
                f"Reference {self.reference!r} is unknown; choose auto, next or none."
            )
        if self.sharpness not in get_args(Sharpness):
            raise RequestError(
                f"Sharpness {self.sharpness!r} is unknown; choose one of "
                f"{', '.join(get_args(Sharpness))}."
            )


def with_sharpness(degradation: Degradation, sharpness: Sharpness) -> Degradation:
    """The degradation, with the kernel of a sharpness filled in where none is known."""
    if sharpness == "auto" or degradation.kernel is not None:
        return degradation
    return replace(degradation, kernel=KERNELS[sharpness], sharpening=0.0, kernel_source="assumed")


def suiting_downsample(screen_pixel: float, scale: int) -> float:
    """The LR downsample at which SR pixels meet screen pixels.

    Parameters
    ----------
    screen_pixel : float
        Level-0 pixels per screen pixel, above 0.
    scale : int
        SR pixels per LR pixel along each axis.

    Returns
    -------
    float
        ``max(1, scale · 2^round(log2 screen_pixel))``.

    >>> suiting_downsample(0.9, 4), suiting_downsample(0.1, 4)
    (4.0, 1.0)
    """
    return max(1.0, float(scale * 2.0 ** round(math.log2(screen_pixel))))


Mode = Literal["cross-scale", "single-image", "oracle"]
_LEAST_SLIDE = 64
"""Fewest LR pixels along a slide's longer side; also a downsample that is always allowed."""
RESEARCH_USE = "For Research Use Only. Not for use in diagnostic procedures."


@dataclass(frozen=True)
class Plan:
    """Everything known about an enhancement before the first pixel is computed."""

    region: Region
    """The request's region within the slide, level-0 pixels."""
    downsample: float
    """Of LR; the reference has half of it."""
    scale: int
    mode: Mode
    native_mpp: float | None
    """µm per level-0 pixel; None if unknown."""
    model_name: str
    lattice: Lattice
    source_computed: bool = False
    """Whether the slide is itself a computed image, written by this package."""
    stored_levels: bool = False
    """Whether the model reads the scanner's own coarser levels.

    Either it was trained on them, or it takes their degradation as input.
    """
    sharpness: Sharpness = "auto"
    pixel_aspect: float = 1.0
    """Height of the slide's pixels over their width."""

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """The tiles to compute, centre first; millions for a whole slide."""
        return self.lattice.tiles()

    @property
    def with_reference(self) -> bool:
        """Whether the next-higher level feeds the WT branch."""
        return self.mode != "single-image"

    @property
    def output_downsample(self) -> float:
        """Level-0 pixels per SR pixel; below 1 is beyond native."""
        return self.downsample / self.scale

    @property
    def source_downsample(self) -> float:
        """LR and reference are made from a stored level of at most this downsample.

        A model of stored levels reads LR as it is. Other models read the output's own level, as
        in their training: scanners make levels with filters of their own, and a network trained
        on another filter does worse than bicubic on them unless it knows the filter.
        """
        return self.downsample if self.stored_levels else max(1.0, self.output_downsample)

    @property
    def output_size(self) -> Size:
        """Of the SR image, pixels."""
        return self.region.size_at(self.output_downsample)

    @property
    def output_mpp(self) -> float | None:
        """µm per SR pixel."""
        return None if self.native_mpp is None else self.native_mpp * self.output_downsample

    @property
    def beyond_native(self) -> bool:
        """Whether the result is finer than the slide, so that there is no truth for it."""
        return self.output_downsample < 1

    @property
    def checkable(self) -> bool:
        """Whether the slide holds the truth for the result."""
        return not self.beyond_native and not self.source_computed

    @property
    def sentence(self) -> str:
        """The plan in plain words."""
        parts = [f"reads {describe_resolution(self.native_mpp, self.downsample)}"]
        if self.with_reference:
            finer = describe_resolution(self.native_mpp, self.downsample / 2)
            parts.append(f"reference {finer}")
        parts.append(f"writes {describe_resolution(self.native_mpp, self.output_downsample)}")
        if self.source_computed:
            end = "the image it reads is itself computed: there is no truth to compare with"
        elif self.beyond_native:
            end = UNCHECKED
        else:
            end = "the slide holds the truth, so the error is measured"
        if self.mode == "oracle":
            end = "ORACLE: the reference is the answer, this is no enhancement"
        return f"{', '.join(parts)} — {end}"

    @property
    def badge(self) -> str:
        """The mark that a computed image carries wherever it is shown."""
        return badge_words(self)


def make_plan(slide: Slide, model: Model | ModelHeader, request: EnhanceRequest) -> Plan:
    """Choose mode and tiles.

    Raises
    ------
    RequestError
        If the region misses the slide, the downsample leaves next to nothing of it, or the
        requested reference or grid does not exist or does not suit the model.
    """
    region = request.region.intersection(slide.bounds)
    if region is None:
        raise RequestError(
            f"Region {request.region} lies outside the slide, which is {slide.size.width} × "
            f"{slide.size.height} pixels at level 0; choose a region inside."
        )
    coarsest = max(_LEAST_SLIDE, max(slide.size) / _LEAST_SLIDE)
    if request.downsample > coarsest:
        raise RequestError(
            f"Downsample {request.downsample:g} leaves too little of the slide, which is "
            f"{slide.size.width} × {slide.size.height} pixels at level 0; choose at most "
            f"{coarsest:g}."
        )
    lattice = Lattice(
        region=region,
        slide_size=slide.size,
        downsample=request.downsample,
        scale=model.scale,
        tile=model.config.tile,
        halo=model.config.halo,
        grid=_suiting_grid(model, request),
    )
    return Plan(
        region=region,
        downsample=request.downsample,
        scale=model.scale,
        mode=_mode(model, request),
        native_mpp=slide.mpp,
        model_name=model.name,
        lattice=lattice,
        source_computed=slide.computed is not None,
        stored_levels=model.takes_degradation or _learnt_stored_levels(model),
        sharpness=request.sharpness,
        pixel_aspect=slide.pixel_aspect,
    )


def on_grid(plan: Plan, grid: Grid) -> Plan:
    """The same plan with its tiles on another grid."""
    return replace(plan, lattice=replace(plan.lattice, grid=grid))


def _suiting_grid(model: Model | ModelHeader, request: EnhanceRequest) -> Grid:
    grid = request.grid
    if grid is not None:
        least, largest = steps(model.config.tile, model.config.halo)
        if not all(least <= step <= largest for step in (grid.step_x, grid.step_y)):
            raise RequestError(
                f"Grid {grid}: model {model.name!r} takes steps from {least} to {largest} LR "
                "pixels; give others, or leave the grid out."
            )
    return grid  # type: ignore[return-value]  # a lattice without a grid fits its own


def _learnt_stored_levels(model: Model | ModelHeader) -> bool:
    recipe = model.provenance.get("recipe")
    slides = recipe.get("slides") if isinstance(recipe, dict) else None
    known = slides if isinstance(slides, list | tuple) else ()
    return any(isinstance(one, dict) and one.get("levels") in ("stored", "own") for one in known)


def _mode(model: Model | ModelHeader, request: EnhanceRequest) -> Mode:
    has_next = request.downsample >= 2
    if request.reference == "none":
        return "single-image"
    if request.reference == "auto":
        wanted = model.scale > 2 and has_next and model.takes_reference
        return "cross-scale" if wanted else "single-image"
    if not has_next:
        raise RequestError(
            f"Reference next: at downsample {request.downsample:g} the next-higher level would be "
            f"{request.downsample / 2:g}, finer than the slide; use a downsample of at least 2, "
            "or reference none."
        )
    if not model.config.wt_branch or (model.scale > 2 and not model.takes_reference):
        raise RequestError(
            f"Model {model.name!r} was not trained with a reference; use reference none or auto."
        )
    return "oracle" if model.scale == 2 else "cross-scale"


_KEPT = 64


class GridMemory:
    """The latest view of each slide, model, downsample, phase and mode; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: LRUCache[Hashable, tuple[Region, Grid]] = LRUCache(_KEPT)

    def shared(self, slide: Slide, plan: Plan) -> Plan:
        """The plan on the previous view's grid if they overlap, so that cached tiles are reused.

        Otherwise the plan as it is. Either way, its view becomes the latest.
        """
        plan = self.preview(slide, plan)
        with self._lock:
            self._last[self._key(slide, plan)] = plan.region, plan.lattice.grid
        return plan

    def preview(self, slide: Slide, plan: Plan) -> Plan:
        """The same plan; its view does not become the latest."""
        with self._lock:
            region, grid = self._last.get(self._key(slide, plan), (None, plan.lattice.grid))
        overlaps = region is not None and region.intersection(plan.region) is not None
        return on_grid(plan, grid) if overlaps else plan

    @staticmethod
    def _key(slide: Slide, plan: Plan) -> Hashable:
        return slide.opened, plan.model_name, plan.downsample, plan.lattice.phase, plan.mode
