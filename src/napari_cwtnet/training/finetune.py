"""Fine-tuning: train a model further on the user's slides, and never let it get worse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napari_cwtnet.errors import OutputError, TrainingError
from napari_cwtnet.files import sweep, written_whole
from napari_cwtnet.model import Model, Network, list_models, load_model, user_model_folder
from napari_cwtnet.model.weights import ModelHeader, read_header
from napari_cwtnet.slides import open_slide
from napari_cwtnet.training.fields import Field
from napari_cwtnet.training.recipe import Recipe, SlideSource, make_recipe
from napari_cwtnet.training.trainer import Trainer
from napari_cwtnet.training.validation import Figures, bicubic_figures, network_figures

DEFAULTS: dict[str, Any] = {
    "loss": {"sr": 1.0, "wt": 0.1, "sr_ssim": 0.1, "wt_ssim": 0.0},
    "learning_rate": 3e-4,
    "warm_up": 20,
    "ema": 0.99,
    "validate_every": 100,
}
DEFAULT_MINUTES = 10.0
_MOST_STEPS = 1_000_000


@dataclass(frozen=True, slots=True)
class FinetuneReport:
    """Before, after and bicubic on the same held-out fields, in one mode."""

    before: Figures
    after: Figures
    bicubic: Figures

    def as_dict(self) -> dict[str, float]:
        """PSNR (dB) and SSIM by name."""
        return {
            "psnr_before": self.before.psnr,
            "psnr_after": self.after.psnr,
            "psnr_bicubic": self.bicubic.psnr,
            "ssim_before": self.before.ssim,
            "ssim_after": self.after.ssim,
            "ssim_bicubic": self.bicubic.ssim,
        }


def slide_source(path: Path, **fields: Any) -> SlideSource:
    """A slide as a source, by its full path and fingerprint.

    Parameters
    ----------
    path : Path
        The slide file.
    **fields
        Of :class:`~napari_cwtnet.training.recipe.SlideSource`, such as ``held_out_share``.

    Raises
    ------
    SlideError
        If it cannot be opened.
    """
    with open_slide(path, image=fields.get("image")) as slide:
        fingerprint = slide.fingerprint
    return SlideSource.model_validate(
        fields | {"path": str(path.resolve()), "fingerprint": fingerprint}
    )


def finetune_recipe(
    model: ModelHeader,
    slides: Iterable[SlideSource],
    fields: Mapping[str, Any] | None = None,
    where: str = "Fine-tuning",
) -> Recipe:
    """The recipe that fine-tunes a model.

    Parameters
    ----------
    model : Model or ModelHeader
        The start model; the recipe keeps its network, scale and share of references. A header is
        enough for a plan, but has no sha256.
    slides : iterable of SlideSource
        Slides to train and validate on.
    fields : mapping, optional
        Fields of the recipe to change. Without ``steps`` or ``minutes`` the budget is ten
        minutes.
    where : str
        Origin of the fields, for messages.

    Raises
    ------
    TrainingError
        If a field is unknown, out of range, or belongs to the start model.
    """
    given = dict(fields or {})
    for name in ("start", "scale", "architecture", "preset", "network"):
        if name in given:
            raise TrainingError(
                f"{where}: {name}: set by the start model; leave it out, or use train."
            )
    if model.takes_degradation:
        slides = [
            slide.model_copy(update={"levels": "own"}) if slide.levels == "computed" else slide
            for slide in slides
        ]
    share = model.provenance.get("reference_share", 0.0) if model.takes_reference else 0.0
    made: dict[str, Any] = {
        "name": f"{model.name}-finetuned",
        "scale": model.scale,
        "architecture": model.config.architecture,
        "network": model.config.model_dump(mode="json", exclude={"scale"}),
        "start": {
            "name": str(model.path.resolve()),
            "sha256": model.sha256 if isinstance(model, Model) else None,
        },
        "slides": [slide.model_dump() for slide in slides],
        "reference_share": share,
        "steps": _MOST_STEPS,
    }
    if model.takes_degradation:
        made["degradation"] = {}
    if "steps" not in given:
        made["minutes"] = DEFAULT_MINUTES
    return make_recipe(DEFAULTS | made | given, where)


def finetune_reports(trainer: Trainer) -> tuple[FinetuneReport, FinetuneReport | None]:
    """The gain of a fine-tuning, single-image and (if trained for) cross-scale.

    PSNR is from the run's own validation of the best model; SSIM is measured now.

    Raises
    ------
    TrainingError
        If the run did not start from a model.
    ModelError
        If its weights cannot be read.
    """
    if trainer.start is None:
        raise TrainingError("The run has no start model to compare with.")
    before, after = trainer.start.network, trainer.best_network()
    fields, scale, state = trainer.held_out, trainer.recipe.scale, trainer.state
    alone, paired = (
        FinetuneReport(
            _figures(before, fields, state.start_psnr, with_reference=mode),
            _figures(after, fields, state.best_by_mode, with_reference=mode),
            bicubic_figures(fields, scale, of_reference=mode),
        )
        if not mode or trainer.recipe.reference_share > 0
        else None
        for mode in (False, True)
    )
    if alone is None:
        raise AssertionError("single-image mode is always measured")
    return alone, paired


def _figures(
    network: Network,
    fields: Sequence[Field],
    known: tuple[float, float | None] | None,
    *,
    with_reference: bool,
) -> Figures:
    """Figures with the PSNR already measured, if any: earlier versions did not store it."""
    figures = network_figures(network, fields, with_reference=with_reference)
    psnr = None if known is None else known[with_reference]
    return figures if psnr is None else replace(figures, psnr=psnr)


def refuse_taken_name(name: str) -> None:
    """Raise :class:`OutputError` if there is a model of that name."""
    known = list_models()
    if name in known:
        raise OutputError(f"Model {name!r} exists ({known[name]}); choose another name (--name).")


def install(weights: Path, name: str) -> Path:
    """Copy a weights file into the user's models.

    Replaces an earlier state of the same run.

    Raises
    ------
    OutputError
        If another model has that name, the weights are gone, or the folder cannot be written to.
    """
    try:
        content = weights.read_bytes()
    except OSError as error:
        raise OutputError(
            f"Model {weights} cannot be read, so it was not added: {error.strerror or error}."
        ) from error
    path = list_models().get(name)
    if path is not None and path.read_bytes() == content:
        sweep(path.parent, path.name)  # killed just after it was put there
        return path
    if path is None or not _is_of_the_same_run(path, weights):
        refuse_taken_name(name)
    folder = user_model_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Folder {folder} cannot be made: {error.strerror}.") from error
    path = folder / f"{name}.safetensors"
    with written_whole(path) as partial:
        partial.write_bytes(content)
    return path


def _is_of_the_same_run(installed: Path, weights: Path) -> bool:
    if installed.parent != user_model_folder():
        return False
    known, made = (_recipe_of(path) for path in (installed, weights))
    return known is not None and known == made


def _recipe_of(weights: Path) -> Recipe | None:
    """The recipe in a file's provenance, with defaults for fields of later versions."""
    try:
        return Recipe.model_validate(read_header(weights).provenance.get("recipe"))
    except ValidationError:
        return None


def with_identities(recipe: Recipe) -> Recipe:
    """A planned recipe with the start model's sha256 and the slides' fingerprints.

    With them a resumed run notices another model or slide.

    Raises
    ------
    ModelError
        If the start model cannot be read.
    SlideError
        If a slide cannot be opened.
    """
    slides = tuple(
        slide_source(Path(slide.path), **slide.model_dump(exclude={"path", "fingerprint"}))
        for slide in recipe.slides
    )
    start = recipe.start
    if start is not None:
        start = start.model_copy(update={"sha256": load_model(start.name).sha256})
    return recipe.model_copy(update={"slides": slides, "start": start})
