"""Training and validation data of a recipe, without leaks between the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import TrainingError
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import Slide, open_slide
from napari_cwtnet.training.fields import NOT_KNOWN, Field, degraded_as, load_fields, source_files
from napari_cwtnet.training.recipe import Recipe, SlideSource
from napari_cwtnet.training.slide_fields import SlideCut, cut_fields
from napari_cwtnet.training.split import refuse_near, split_by_place

_KERNEL = 2


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Fields in memory, so that folders and slides need not be read again."""

    training: tuple[tuple[float, tuple[Field, ...]], ...]
    """Weight and fields of each source."""
    held_out: tuple[Field, ...]
    fingerprints: tuple[str, ...]
    """Fingerprints of the slides, in the order of the recipe."""
    remarks: tuple[str, ...]
    """What was kept of each slide, in words."""


def guard_band(recipe: Recipe) -> float:
    """Level-0 pixels between training and validation on one slide.

    One receptive field and the radius of the resampling kernel, at the recipe's coarsest LR.
    """
    coarsest = max((d for slide in recipe.slides for d in slide.downsamples), default=1)
    return (recipe.network_config().receptive_radius() + _KERNEL) * float(coarsest * recipe.scale)


def load_data(recipe: Recipe, data_root: Path, cancel: CancelToken | None = None) -> TrainingData:
    """Read the data of a recipe.

    Parameters
    ----------
    recipe : Recipe
        Folders of images and slides.
    data_root : Path
        Folder that their paths are relative to.
    cancel : CancelToken, optional
        Interrupts the reading of slides.

    Raises
    ------
    TrainingError
        If training and validation share an image or come too near on a slide, if either has
        nothing to work with, or if a slide is itself computed.
    SlideError
        If a slide cannot be read.
    CancelledError
        Between two fields of a slide, after ``cancel`` was called.
    """
    _refuse_shared_images(recipe, data_root)
    training: list[tuple[float, tuple[Field, ...]]] = []
    held_out: list[Field] = []
    for source in recipe.sources:
        fields = load_fields(source, data_root, recipe.scale, held_out=False)
        training.append((source.weight, tuple(fields)))
        held_out += load_fields(source, data_root, recipe.scale, held_out=True)
    guard = guard_band(recipe)
    cuts: list[tuple[str, str, SlideCut]] = []
    remarks = []
    for number, slide_source in enumerate(recipe.slides):
        path, shown = data_root / slide_source.path, slide_source.image
        with open_slide(path, icc=slide_source.icc, image=shown) as slide:
            _check_identity(slide, slide_source)
            refuse_computed(slide)
            name = slide.path.name
            split = split_by_place(slide_source, name, slide.bounds, guard)
            seed = recipe.seed + number
            cut = cut_fields(
                slide,
                slide_source,
                split,
                scale=recipe.scale,
                patch=recipe.patch,
                seed=seed,
                cancel=cancel,
            )
            cuts.append((slide.fingerprint, name, cut))
        training.append((slide_source.weight, tuple(placed.field for placed in cut.training)))
        held_out += [placed.field for placed in cut.held_out]
        remarks.append(f"{name}: {cut.words}; guard band {guard:g} px")
    if recipe.degradation is not None:
        specs = recipe.degradation.validation
        held_out = [
            degraded_as(field, specs[number % len(specs)], recipe.scale)
            if field.known is NOT_KNOWN
            else field
            for number, field in enumerate(held_out)
        ]
    _refuse_near_slides(cuts, guard)
    if not held_out:
        raise TrainingError(
            "No source keeps images for validation; give held_out patterns in the recipe, "
            "or a held_out_share of a slide."
        )
    return TrainingData(
        tuple(entry for entry in training if entry[1]),
        tuple(held_out),
        tuple(fingerprint for fingerprint, _, _ in cuts),
        tuple(remarks),
    )


def _check_identity(slide: Slide, source: SlideSource) -> None:
    if source.fingerprint not in (None, slide.fingerprint):
        raise TrainingError(
            f"Slide {slide.path.name!r} has the fingerprint {slide.fingerprint}, the recipe wants "
            f"{source.fingerprint}; give the slide that the recipe was made for."
        )


def refuse_computed(slide: Slide) -> None:
    """Raise :class:`TrainingError` for a computed slide, which holds no truth."""
    if slide.computed is not None:
        raise TrainingError(
            f"Slide {slide.path.name!r} is itself computed ({slide.computed}) and no truth to "
            "learn from; choose a slide as it was scanned."
        )


def _refuse_near_slides(cuts: Sequence[tuple[str, str, SlideCut]], guard: float) -> None:
    """Final check for leaks: the fields as cut, over all sources that show the same slide."""
    training: dict[str, list[Region]] = {}
    for fingerprint, _, cut in cuts:
        training.setdefault(fingerprint, []).extend(placed.region for placed in cut.training)
    for fingerprint, name, cut in cuts:
        refuse_near(name, training[fingerprint], [p.region for p in cut.held_out], guard)


def _refuse_shared_images(recipe: Recipe, data_root: Path) -> None:
    """Refuse to train on an image that another source holds out."""
    kept = {
        path.resolve()
        for source in recipe.sources
        for path in source_files(source, data_root, held_out=True)
    }
    for source in recipe.sources:
        for path in source_files(source, data_root, held_out=False):
            if path.resolve() in kept:
                raise TrainingError(
                    f"Source {source.name!r} trains on {path.name}, which another source holds "
                    "out; give both the same held_out patterns."
                )
