"""Compare the searches of the attention, its bands and its branch: same data, same steps, seeds.

Usage: ``python tools/search_study.py --data FOLDER --output FOLDER [--steps 400] [--seeds 3]``

Each run is one recipe of the lite size, from scratch or (``shipped, …``) from the shipped weights.
×2 is trained and measured single-image, ×4 on half of the batches with the next-higher level, and
measured both ways. One line a run goes to ``runs.csv``; runs that have one are not done again.
``table.md`` has the means and their range over the seeds.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from napari_cwtnet.model import load_model, save_weights
from napari_cwtnet.model.base import Network
from napari_cwtnet.training.events import Done
from napari_cwtnet.training.fields import Field, batch_of
from napari_cwtnet.training.recipe import Recipe, StartModel, load_recipe, shipped_recipes
from napari_cwtnet.training.trainer import Trainer
from napari_cwtnet.training.validation import bicubic_figures, centre_crops, network_figures

VARIANTS: dict[str, dict[str, Any]] = {
    "aligned": {},
    "window 4": {"search": "window", "window_radius": 4},
    "window 4, bias 0.05": {"search": "window", "window_radius": 4, "position_bias": 0.05},
    "full": {"search": "full"},
    "aligned, HH alone": {"bands": ("HH",)},
    "no WT branch": {"wt_branch": False},
}
LATER: dict[str, dict[str, Any]] = {
    "shipped, aligned": {},
    "shipped, window 4": {"search": "window", "window_radius": 4},
    "shipped, window 4, bias 0.05": VARIANTS["window 4, bias 0.05"],
}
"""Trains the shipped network further with another search, starting from good features."""

SOURCES = ("osteosarcoma", "camelyon", "bcss-halved", "ocdc")
REACHES = (0, 1, 4, 16)
HELD_OUT_SIDE = 64
"""LR pixels: the full search takes its time, and so does every run."""
Row = dict[str, Any]


def main() -> None:
    """Do what is not yet done, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scales", type=int, nargs="+", default=[2, 4])
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    book = arguments.output / "runs.csv"
    rows = read_rows(book)
    done = {(row["scale"], row["variant"], row["seed"]) for row in rows}
    for seed in range(arguments.seeds):
        for scale in arguments.scales:
            for variant in VARIANTS | (LATER if scale > 2 else {}):
                if (str(scale), variant, str(seed)) in done:
                    continue
                row = one_run(variant, scale, seed, arguments.steps, arguments)
                rows.append({name: str(value) for name, value in row.items()})
                write_rows(book, rows)
                print(row, flush=True)
    table = "\n".join(table_lines(rows)) + "\n"
    (arguments.output / "table.md").write_text(table, encoding="utf-8")
    print(table)


def recipe_of(variant: str, scale: int, seed: int, steps: int, start: Path) -> Recipe:
    """The lite recipe of that scale, shortened, with the variant's network.

    ``start`` is where a start model is written to, if the variant has one.
    """
    shipped = load_recipe(shipped_recipes()[f"cwtnet-lite-x{scale}"])
    network = (VARIANTS | LATER)[variant]
    share = 0.5 if scale > 2 and network.get("wt_branch", True) else 0.0
    return shipped.model_copy(
        update={
            "start": StartModel(name=str(start)) if variant in LATER else None,
            "network": network,
            "sources": tuple(s for s in shipped.sources if s.name in SOURCES),
            "reference_share": share,
            "patch": {2: 32, 4: 24}[scale],
            "batch": 4,
            "learning_rate": 3e-4 if variant in LATER else 8e-4,
            "warm_up": 50,
            "ema": 0.99,
            "steps": steps,
            "validate_every": steps,
            "seed": seed,
        }
    )


def one_run(variant: str, scale: int, seed: int, steps: int, arguments: argparse.Namespace) -> Row:
    """Train and measure."""
    folder = arguments.output / f"x{scale} {variant} seed {seed}".replace(" ", "-")
    start = folder / "start.safetensors"
    recipe = recipe_of(variant, scale, seed, steps, start)
    if recipe.start is not None:
        folder.mkdir(parents=True, exist_ok=True)
        shipped = load_model(f"cwtnet-lite-x{scale}")
        network = recipe.new_network()
        network.load_state_dict(shipped.network.state_dict())
        save_weights(start, network, shipped.provenance)
    trainer = Trainer(recipe, arguments.data, folder)
    trainer.held_out = centre_crops(trainer.held_out, scale, HELD_OUT_SIDE)
    weights = next(event.weights for event in trainer.run() if isinstance(event, Done))
    network = load_model(weights).network
    row: Row = {"scale": scale, "variant": variant, "seed": seed, "steps": steps}
    row["seconds"] = round(trainer.state.seconds)
    for paired in (False, True) if recipe.reference_share else (False,):
        mode = "cross" if paired else "single"
        after = network_figures(network, trainer.held_out, with_reference=paired)
        before = bicubic_figures(trainer.held_out, scale, of_reference=paired)
        row[f"{mode} gain"] = round(after.psnr - before.psnr, 4)
        row[f"{mode} ssim"] = round(after.ssim - before.ssim, 4)
        if network.config.wt_branch:
            for reach, share in matches_within(network, trainer.held_out, paired).items():
                row[f"{mode} within {reach}"] = round(share, 4)
    return row


@torch.no_grad()
def matches_within(network: Network, fields: list[Field], paired: bool) -> dict[int, float]:
    """Share of matches at most so many LR pixels away along both axes, over fields and blocks."""
    hits = dict.fromkeys(REACHES, 0)
    total = 0
    for field in fields:
        batch = batch_of(field)
        output = network(batch.lr, batch.reference if paired else None, record=True)
        width = batch.lr.shape[-1]
        for record in output.blocks:
            own = torch.arange(record.index.numel()).view_as(record.index)
            rows = (record.index // width - own // width).abs()
            columns = (record.index % width - own % width).abs()
            distance = torch.maximum(rows, columns)
            for reach in REACHES:
                hits[reach] += int((distance <= reach).sum())
            total += distance.numel()
    return {reach: count / total for reach, count in hits.items()}


def read_rows(book: Path) -> list[Row]:
    """The runs that are done."""
    if not book.exists():
        return []
    with book.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(book: Path, rows: list[Row]) -> None:
    """All runs, one a line."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    partial = book.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(book)


def table_lines(rows: list[Row]) -> Iterator[str]:
    """Means over seeds, with the range."""
    yield "| ×, mode | variant | gain, dB (least to most) | SSIM gain | within 0 / 1 / 4 px | s |"
    yield "|---|---|---|---|---|---|"
    for scale, mode in (("2", "single"), ("4", "single"), ("4", "cross")):
        for variant in VARIANTS | LATER:
            runs = [r for r in rows if r["scale"] == scale and r["variant"] == variant]
            gains = numbers(runs, f"{mode} gain")
            if not gains:
                continue
            near = [numbers(runs, f"{mode} within {reach}") for reach in (0, 1, 4)]
            shares = " / ".join(f"{100 * statistics.mean(n):.0f} %" for n in near if n) or "none"
            yield (
                f"| ×{scale} {mode} | {variant} | {statistics.mean(gains):+.3f} "
                f"({min(gains):+.3f} to {max(gains):+.3f}) "
                f"| {statistics.mean(numbers(runs, f'{mode} ssim')):+.4f} | {shares} "
                f"| {statistics.mean(numbers(runs, 'seconds')):.0f} |"
            )


def numbers(runs: list[Row], name: str) -> list[float]:
    """That column, where it is filled."""
    return [float(run[name]) for run in runs if run.get(name)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
