"""The line that begins the planned fine-tuning in a terminal."""

from __future__ import annotations

from pathlib import Path

from napari_cwtnet.errors import RequestError
from napari_cwtnet.model import list_models
from napari_cwtnet.plugin.command_line import exact
from napari_cwtnet.plugin.finetune_choice import FinetunePlan, SlideChoice
from napari_cwtnet.plugin.slide_facts import wants_icc
from napari_cwtnet.plugin.slide_layer import slide_of


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
    names = {path: name for name, path in list_models().items()}
    words = ["finetune", *(source.path for source in plan.recipe.slides)]
    words += ["--model", names.get(plan.header.path, str(plan.header.path))]
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
