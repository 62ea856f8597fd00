"""``finetune``: a model goes on learning from slides, and ends with what it has gained."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.cli.report import report, stopped_by_interrupt
from napari_cwtnet.cli.terminal import tell
from napari_cwtnet.errors import TrainingError
from napari_cwtnet.files import check_writable
from napari_cwtnet.model import load_model, user_model_folder
from napari_cwtnet.training.events import Done, StepDone, Validation
from napari_cwtnet.training.finetune import (
    finetune_recipe,
    finetune_reports,
    install,
    refuse_taken_name,
    slide_source,
)
from napari_cwtnet.training.recipe import Recipe, SlideSource, load_recipe, make_recipe, read_fields
from napari_cwtnet.training.run_folder import file_of_a_run
from napari_cwtnet.training.trainer import Trainer

_SAY_EVERY = 50


def run(arguments: argparse.Namespace) -> None:
    """Fine-tune, report, and put the model among the user's if it was given a name."""
    output: Path = arguments.output
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise TrainingError(
            "finetune runs in one process; start it without torchrun, or use train."
        )
    if arguments.name:
        check_writable(user_model_folder() / f"{arguments.name}.safetensors")
    recipe = _continued(arguments) if arguments.resume else _fresh(arguments)
    trainer = Trainer(recipe, Path(), output)
    for remark in trainer.data.remarks:
        tell(remark)
    done = _drive(trainer)
    if done.step == 0 and not done.stopped:
        tell("measuring the start model took all the time there was; give more --minutes")
    alone, paired = finetune_reports(trainer)
    weights = install(done.weights, recipe.name) if arguments.name else done.weights
    report(
        alone.as_dict()
        | {
            "steps": done.step,
            "seconds": round(trainer.state.seconds, 1),
            "weights": str(weights),
            "improved": trainer.improved,
            "stopped": done.stopped,
            "model": weights.stem,
            "cross_scale": None if paired is None else paired.as_dict(),
        },
        as_json=arguments.json,
    )


def _fresh(arguments: argparse.Namespace) -> Recipe:
    output: Path = arguments.output
    found = file_of_a_run(output)
    if found is not None:
        raise TrainingError(
            f"Folder {output} holds a run ({found}); add --resume to go on with it, or choose "
            "another --output."
        )
    if arguments.model is None:
        raise TrainingError("No start model; give --model NAME.")
    if arguments.name:
        refuse_taken_name(arguments.name)
    fields, where = _config(arguments)
    model = load_model(arguments.model)
    return finetune_recipe(model, _slides(arguments, fields), _options(arguments, fields), where)


def _continued(arguments: argparse.Namespace) -> Recipe:
    """The recipe of the run in the folder; what is given again must say the same."""
    path = arguments.output / "recipe.yaml"
    if not path.exists():
        raise TrainingError(
            f"Folder {arguments.output} holds no run ({path.name} is missing); leave out --resume."
        )
    recipe = load_recipe(path)
    fields, where = _config(arguments)
    given: dict[str, Any] = {}
    if arguments.slides or fields.get("slides") or arguments.image is not None:
        given["slides"] = [slide.model_dump() for slide in _slides(arguments, fields, recipe)]
    if arguments.model is not None:
        model = load_model(arguments.model)
        given["start"] = {"name": str(model.path.resolve()), "sha256": model.sha256}
    wanted = make_recipe(recipe.model_dump() | _options(arguments, fields) | given, where)
    for name in Recipe.model_fields:
        if getattr(wanted, name) != getattr(recipe, name):
            raise TrainingError(
                f"Folder {arguments.output} holds a run with another value of {name!r}; --resume "
                "uses the run's own recipe; give the same one, or leave it out."
            )
    return recipe


def _config(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    path: Path | None = arguments.config
    if path is None:
        return {}, "Command line"
    fields = read_fields(path)
    if not isinstance(fields, dict):
        raise TrainingError(f"Recipe {path}: the file: give fields of a recipe, one a line.")
    return fields, f"Recipe {path}"


def _options(arguments: argparse.Namespace, fields: dict[str, Any]) -> dict[str, Any]:
    """Fields of the config file, overruled by what was typed."""
    typed = {"minutes": arguments.minutes, "name": arguments.name, "device": arguments.device}
    given = {name: value for name, value in typed.items() if value is not None}
    return {name: value for name, value in fields.items() if name != "slides"} | given


def _slides(
    arguments: argparse.Namespace, fields: dict[str, Any], known: Recipe | None = None
) -> list[SlideSource]:
    if arguments.held_out is not None and not (arguments.slides and 0 < arguments.held_out < 1):
        raise TrainingError(
            f"Share --held-out {arguments.held_out:g}: give one above 0 and below 1, and slides to "
            "take it from; a --config says it of each of its slides."
        )
    if arguments.image is not None and not arguments.slides:
        raise TrainingError(
            f"--image {arguments.image} needs slides on the command line; in a --config, give "
            "`image` for each slide."
        )
    if arguments.slides and fields.get("slides"):
        raise TrainingError(
            f"Recipe {arguments.config} names slides too; give slides in one place only."
        )
    if fields.get("slides"):
        checked = make_recipe(
            {"name": "slides", "scale": 2, "slides": fields["slides"]}, f"Recipe {arguments.config}"
        )
        folder = arguments.config.parent
        return [
            slide_source(folder / slide.path, **slide.model_dump(exclude={"path", "fingerprint"}))
            for slide in checked.slides
        ]
    if not arguments.slides:
        raise TrainingError("No slide to learn from; name one or more slide files.")
    given: dict[str, Any] = {}
    if arguments.held_out is not None:
        given["held_out_share"] = arguments.held_out
    if arguments.image is not None:
        given["image"] = arguments.image
    if arguments.sharpness != "auto":
        given["sharpness"] = arguments.sharpness
    sources = [slide_source(path, **given) for path in arguments.slides]
    if known is None:
        return sources
    settings = {slide.fingerprint: slide for slide in known.slides}
    return [settings.get(source.fingerprint, source) for source in sources]


def _drive(trainer: Trainer) -> Done:
    cancel = CancelToken()
    with stopped_by_interrupt(cancel):
        for event in trainer.run(cancel):
            if isinstance(event, StepDone) and event.step % _SAY_EVERY == 0:
                left = trainer.seconds_left or 0.0
                tell(f"step {event.step}  loss {event.loss:.4f}  {left / 60:.1f} min left")
            elif isinstance(event, Validation):
                tell(_words(event, trainer))
            elif isinstance(event, Done):
                return event
    raise TrainingError("The run ended before it was done; add --resume to go on with it.")


def _words(event: Validation, trainer: Trainer) -> str:
    words = (
        f"step {event.step}: PSNR {event.psnr:.2f} dB, "
        f"{event.psnr - event.psnr_bicubic:+.2f} over bicubic"
    )
    if trainer.state.start_psnr is not None and event.step > 0:
        words += f", {event.psnr - trainer.state.start_psnr[0]:+.2f} over the start model"
    return words + (", best so far" if event.best else "")
