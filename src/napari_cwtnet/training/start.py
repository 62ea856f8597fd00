"""Where a run starts from, and what its weights say of how they came to be."""

from __future__ import annotations

import platform
from typing import Any

import torch

from napari_cwtnet import __version__
from napari_cwtnet.errors import TrainingError
from napari_cwtnet.model import Model, load_model
from napari_cwtnet.training.data import TrainingData
from napari_cwtnet.training.recipe import Recipe
from napari_cwtnet.training.state import RunState


def load_start(recipe: Recipe) -> Model | None:
    """The model that a recipe goes on from.

    Raises
    ------
    TrainingError
        If it is another file or another network than the recipe says.
    ModelError
        If it cannot be read.
    """
    if recipe.start is None:
        return None
    model = load_model(recipe.start.name)
    if recipe.start.sha256 not in (None, model.sha256):
        raise TrainingError(
            f"Model {model.name!r} has sha256 {model.sha256}, the recipe wants "
            f"{recipe.start.sha256}; give the model that the run was begun with."
        )
    if model.config != recipe.network_config():
        raise TrainingError(
            f"Model {model.name!r} is another network than the recipe's; leave preset and network "
            "out of the recipe, or choose another start model."
        )
    return model


def provenance(
    recipe: Recipe, state: RunState, start: Model | None, data: TrainingData
) -> dict[str, Any]:
    """What the best weights say of themselves: slides by fingerprint, never by path."""
    known: dict[str, Any] = {}
    if start is not None:
        known["parent"] = {"name": start.name, "sha256": start.sha256}
    return known | {
        "recipe": _told(recipe, data.fingerprints).model_dump(mode="json"),
        "reference_share": recipe.reference_share,
        "step": state.step,
        "seconds": round(state.seconds, 1),
        "validation_psnr": round(state.best_psnr, 4),
        "software": f"napari-cwtnet {__version__}, torch {torch.__version__}",
        "machine": platform.processor() or platform.machine(),
    }


def _told(recipe: Recipe, fingerprints: tuple[str, ...]) -> Recipe:
    """The recipe as it may be published."""
    told = recipe.without_paths()
    slides = tuple(
        slide.model_copy(update={"fingerprint": fingerprint})
        for slide, fingerprint in zip(told.slides, fingerprints, strict=True)
    )
    return told.model_copy(update={"slides": slides})
