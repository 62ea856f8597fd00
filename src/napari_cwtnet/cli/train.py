"""``train``: a model from a recipe."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.cli.report import report, stopped_by_interrupt
from napari_cwtnet.cli.terminal import tell
from napari_cwtnet.errors import TrainingError
from napari_cwtnet.training.events import Done, StepDone, Validation
from napari_cwtnet.training.recipe import load_recipe, shipped_recipes
from napari_cwtnet.training.trainer import Trainer

_SAY_EVERY = 100


def run(arguments: argparse.Namespace) -> None:
    """Train to the end of the recipe, going on with a run that is already in the folder."""
    path: Path = arguments.recipe
    shipped = shipped_recipes()
    if str(path) not in shipped and path.suffix not in (".yaml", ".yml") and not path.exists():
        raise TrainingError(
            f"Recipe {str(path)!r} is unknown; choose one of {', '.join(shipped)} or give a YAML "
            "file."
        )
    recipe = load_recipe(shipped.get(str(path), path))
    if not arguments.data.is_dir():
        raise TrainingError(f"Data folder {arguments.data} does not exist; check --data.")
    trainer = Trainer(recipe, arguments.data, arguments.output)
    for remark in trainer.data.remarks if trainer.leads else ():
        tell(remark)
    cancel = CancelToken()
    with stopped_by_interrupt(cancel):
        _drive(trainer, cancel, as_json=arguments.json)


def _drive(trainer: Trainer, cancel: CancelToken, *, as_json: bool) -> None:
    recipe = trainer.recipe
    for event in trainer.run(cancel):
        if not trainer.leads:
            continue
        if isinstance(event, StepDone) and event.step % _SAY_EVERY == 0:
            left = trainer.seconds_left or 0.0
            where = f"step {event.step}/{recipe.steps}"
            tell(f"{where}  loss {event.loss:.4f}  {left / 60:.0f} min left")
        elif isinstance(event, Validation):
            tell(f"step {event.step}: {_gains(event)}")
        elif isinstance(event, Done):
            report(
                {
                    "weights": str(event.weights),
                    "steps": event.step,
                    "seconds": round(trainer.state.seconds, 1),
                    "validation_psnr": event.best_psnr,
                    "stopped": event.stopped,
                },
                as_json=as_json,
            )


def _gains(event: Validation) -> str:
    words = f"PSNR {event.psnr:.2f} dB, {event.psnr - event.psnr_bicubic:+.2f} over bicubic"
    if event.psnr_with_reference is not None and event.psnr_reference_bicubic is not None:
        gain = event.psnr_with_reference - event.psnr_reference_bicubic
        words += (
            f"; with reference {event.psnr_with_reference:.2f} dB, {gain:+.2f} over its bicubic"
        )
    return words
