"""From what the Fine-tune dock says to a plan of the run; nothing is read or computed.

Errors say why the run cannot be had, and are shown where the sentence would stand.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_cwtnet.enhancement.plan import Sharpness
from napari_cwtnet.errors import RequestError, TrainingError
from napari_cwtnet.geometry import Region
from napari_cwtnet.model.weights import ModelHeader
from napari_cwtnet.plugin.tasks.finetune import FinetuneJob
from napari_cwtnet.plugin.tasks.model_list import MODELS
from napari_cwtnet.plugin.viewer.command_line import exact
from napari_cwtnet.plugin.viewer.slide_layer import slide_name, slide_of, wants_icc
from napari_cwtnet.plugin.viewer.viewport import box_on
from napari_cwtnet.slides import Slide
from napari_cwtnet.training.data import guard_band
from napari_cwtnet.training.finetune import finetune_recipe
from napari_cwtnet.training.recipe import Recipe, SlideSource, read_fields
from napari_cwtnet.training.run_folder import holds_a_run, user_runs_folder
from napari_cwtnet.training.split import Split, split_by_place

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class SlideChoice:
    """A slide that can be learnt from, whether it is open or was added by its file."""

    path: Path
    name: str
    bounds: Region
    mpp: float | None
    icc: bool
    computed: str | None = None
    layer: Any = None
    """Its layer; None for one that is not open."""

    @classmethod
    def of(cls, slide: Slide, layer: Any = None) -> SlideChoice:
        """What there is to know of an open slide."""
        name = slide_name(slide) if layer is None else layer.name
        return cls(slide.path, name, slide.bounds, slide.mpp, slide.icc, slide.computed, layer)


@dataclass(frozen=True, slots=True)
class FinetuneChoice:
    """What the dock's widgets say."""

    model: str | None
    slides: tuple[SlideChoice, ...] = ()
    regions: Any = None
    """Shapes layer whose shapes are learnt from; None takes the whole slide."""
    held_out: Any = None
    """Shapes layer whose shapes are measured on; None takes the right-hand share."""
    share: float = 1 / 3
    minutes: float = 10.0
    name: str = ""
    """Of the new model; empty takes one that is free."""
    recipe: Path | None = None
    output: Path | None = None
    """None takes a new folder among the user's runs."""
    device: str = "auto"
    sharpness: Sharpness = "auto"


@dataclass(frozen=True, slots=True)
class FinetunePlan:
    """A run that can begin."""

    recipe: Recipe
    header: ModelHeader
    slides: tuple[SlideChoice, ...]
    splits: tuple[Split, ...]
    """Of each slide."""
    output: Path | None
    """None takes a new folder among the user's runs."""

    @property
    def job(self) -> FinetuneJob:
        """The run, in a folder that is free now."""
        return FinetuneJob(self.output or _free_folder(self.recipe.name), self.recipe)


def free_name(model: str | None) -> str:
    """A name for the new model that no other has, such as ``cwtnet-lite-x2-tuned``."""
    known = MODELS.paths
    return next(name for name in _numbered(f"{model or 'model'}-tuned") if name not in known)


def _free_folder(name: str) -> Path:
    """A folder among the user's runs that does not exist yet."""
    folders = (user_runs_folder() / one for one in _numbered(name))
    return next(folder for folder in folders if not folder.exists())


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in itertools.count(2):
        yield f"{name}-{number}"


def finetune_plan(choice: FinetuneChoice) -> FinetunePlan:
    """What would happen.

    Raises
    ------
    CwtnetError
        If nothing can; the message says why.
    """
    header = MODELS.header(choice.model)
    if not choice.slides:
        raise RequestError("Tick a slide to learn from; open or add one if there is none.")
    name = _checked_name(choice.name or free_name(choice.model))
    if choice.output is not None and holds_a_run(choice.output):
        raise TrainingError(
            f"Folder {choice.output} holds a run; resume it, or choose another folder."
        )
    sources = [_source(slide, choice) for slide in choice.slides]
    fields, where = _fields(choice.recipe)
    fields |= {"name": name, "minutes": choice.minutes, "device": choice.device}
    recipe = finetune_recipe(header, sources, fields, where)
    guard = guard_band(recipe)
    splits = tuple(
        split_by_place(source, slide.name, slide.bounds, guard)
        for source, slide in zip(recipe.slides, choice.slides, strict=True)
    )
    for slide, split in zip(choice.slides, splits, strict=True):
        if not split.training:
            raise TrainingError(
                f"Nothing of slide {slide.name!r} is left to learn from: what is held out and a "
                f"guard band of {guard:g} pixels take it all; hold out less, or take more."
            )
    return FinetunePlan(recipe, header, choice.slides, splits, choice.output)


def boxes_of(shapes: Any, slide: SlideChoice) -> tuple[tuple[float, float, float, float], ...]:
    """Bounding boxes (x, y, width, height) of a layer's areas on a slide, level-0 pixels.

    Lines and paths are none.

    Raises
    ------
    RequestError
        If the slide is not open, or no area lies on it.
    """
    if slide.layer is None:
        raise RequestError(
            f"Slide {slide.name!r} is not open, so that no shape lies on it; open or untick it."
        )
    boxes = []
    for kind, corners in zip(shapes.shape_type, shapes.data, strict=True):
        if kind in ("line", "path"):
            continue
        box = box_on(slide.layer, shapes, corners)
        inside = None if box is None else box.intersection(slide.bounds)
        if inside is not None:
            x, y, width, height = inside.x, inside.y, inside.width, inside.height
            boxes.append((round(x, 2), round(y, 2), round(width, 2), round(height, 2)))
    if not boxes:
        raise RequestError(
            f"No shape of layer {shapes.name!r} lies on slide {slide.name!r}; draw one there, or "
            "choose another layer."
        )
    return tuple(boxes)


def _source(slide: SlideChoice, choice: FinetuneChoice) -> SlideSource:
    regions = () if choice.regions is None else boxes_of(choice.regions, slide)
    held_out = () if choice.held_out is None else boxes_of(choice.held_out, slide)
    return SlideSource(
        path=str(slide.path.resolve()),
        fingerprint=None,
        icc=slide.icc,
        regions=regions,
        held_out=held_out,
        held_out_share=choice.share,
        sharpness=choice.sharpness,
    )


def _fields(path: Path | None) -> tuple[dict[str, Any], str]:
    if path is None:
        return {}, "Fine-tuning"
    fields = read_fields(path)
    if not isinstance(fields, dict):
        raise TrainingError(f"Recipe {path}: the file: give fields of a recipe, one a line.")
    if fields.get("slides"):
        raise TrainingError(
            f"Recipe {path} names slides; tick them here instead, and leave it out."
        )
    return fields, f"Recipe {path}"


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name) or name == "last" or len(name) > _LONGEST_NAME:
        raise RequestError(
            f"Model name {name!r} cannot be a file's; use letters, digits, '-', '_', '+' and '.', "
            f"{_LONGEST_NAME} at most."
        )
    if name in MODELS.paths:
        raise RequestError(f"There is a model {name!r} already; choose another name.")
    return name


def finetune_words(plan: FinetunePlan, config: Path | None) -> list[str]:
    """The words after ``napari-cwtnet`` that begin a planned run.

    Parameters
    ----------
    plan : FinetunePlan
        What Start would do.
    config : Path or None
        The file of recipe fields that was chosen.

    Raises
    ------
    RequestError
        If shapes say what is learnt from, which takes a file to say.
    """
    for source, slide in zip(plan.recipe.slides, plan.slides, strict=True):
        if source.regions or source.held_out:
            what = "shapes"
        elif not _wants_icc(slide):
            what = "colours as the scanner has them"
        else:
            continue
        raise RequestError(
            f"Slide {slide.name!r}: {what} cannot be said on a command line; start the run, and "
            "take its slides from recipe.yaml in its folder for a file of your own (--config)."
        )
    words = ["finetune", *(source.path for source in plan.recipe.slides)]
    words += ["--model", MODELS.name_of(plan.header.path)]
    if config is not None:
        words += ["--config", str(config.resolve())]
    if plan.recipe.minutes is not None:
        words += ["--minutes", exact(plan.recipe.minutes)]
    source = plan.recipe.slides[0]
    words += ["--held-out", exact(source.held_out_share)]
    if source.sharpness != "auto":
        words += ["--sharpness", source.sharpness]
    words += ["--name", plan.recipe.name, "--device", plan.recipe.device]
    return [*words, "--output", str(plan.job.output.resolve())]


def _wants_icc(slide: SlideChoice) -> bool:
    opened = slide_of(slide.layer)
    return slide.icc or opened is None or wants_icc(opened)
