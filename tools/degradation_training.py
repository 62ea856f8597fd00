"""Short trainings with degradation unknown, known and partly known: equal steps, several seeds.

Usage: ``python tools/degradation_training.py --data FOLDER --start MODEL --output FOLDER``

All start from one model by the recipe of ``cwtnet-lite-x2`` and differ only in what the network
knows of each patch. Prints the gain over bicubic (PSNR, dB) on the recipe's test images, with the
true degradation and with none.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from napari_cwtnet.evaluation import chosen_images, evaluate_images
from napari_cwtnet.model import load_model
from napari_cwtnet.training.recipe import Recipe, load_recipe, shipped_recipes
from napari_cwtnet.training.trainer import Trainer

SPECS = ("bicubic", "box", "bicubic+jpeg80-420", "box+jpeg75-420")
KINDS: dict[str, dict[str, float]] = {
    "blind": {"unknown_kernel": 1, "unknown_noise": 1, "unknown_compression": 1},
    "known": {"unknown_kernel": 0, "unknown_noise": 0, "unknown_compression": 0},
    "partly known": {},
}
_IMAGES = 2


def main() -> None:
    """Train what is missing, measure everything, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--start", required=True, help="a lite-2 model of ×2")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    known = load_recipe(shipped_recipes()["cwtnet-lite-x2"])
    print("| training | LR | known | unknown |\n|---|---|---|---|")
    for kind, mix in KINDS.items():
        figures: dict[str, list[tuple[float, float]]] = {spec: [] for spec in SPECS}
        for seed in range(arguments.seeds):
            fields = known.model_dump(mode="json") | {
                "name": f"{kind.replace(', ', '-').replace(' ', '-')}-{seed}",
                "start": {"name": arguments.start},
                "degradation": mix,
                "seed": seed,
                "steps": arguments.steps,
                "minutes": None,
                "patch": 32,
                "late_patch": None,
                "validate_every": arguments.steps,
            }
            recipe = Recipe.model_validate(fields)
            folder = arguments.output / recipe.name
            trainer = Trainer(recipe, arguments.data, folder)
            for _ in trainer.run():
                pass
            for spec in SPECS:
                figures[spec].append(_gains(recipe, trainer.weights, spec, arguments.data))
        for spec in SPECS:
            cells = (
                f"{np.mean(column):+.2f} ± {np.std(column):.2f}"
                for column in zip(*figures[spec], strict=True)
            )
            print(f"| {kind} | `{spec}` | {' | '.join(cells)} |", flush=True)


def _gains(recipe: Recipe, weights: Path, spec: str, data: Path) -> tuple[float, float]:
    """Gain with known and with unknown degradation, mean over sources."""
    model = load_model(weights)
    found: dict[str, list[float]] = {"file": [], "nothing": []}
    for source in recipe.sources:
        if not source.tested or source.name == "bcss":  # a large image of its own
            continue
        files = chosen_images(data / source.folder, source.tested)[:_IMAGES]
        told: Literal["file", "nothing"]
        for told in ("file", "nothing"):
            means = evaluate_images(files, model, degradation=spec, told=told, device="cpu").means()
            found[told].append((means["psnr"] or 0) - (means["psnr_bicubic"] or 0))
    return float(np.mean(found["file"])), float(np.mean(found["nothing"]))


if __name__ == "__main__":
    main()
