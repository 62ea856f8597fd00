"""Put a trained model among those that ship: float16 weights, and a card with held-out figures.

Usage: ``python tools/ship_model.py RUN/NAME.safetensors --data FOLDER --slide SLIDE...``

``--data`` is the folder that the recipe's sources are relative to, ``--slide`` slides that were
never trained on. All figures are those of the float16 weights that ship.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch
from PIL import Image

from napari_cwtnet import load_model, open_slide
from napari_cwtnet.enhancement.check import check
from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.evaluation import chosen_images, evaluate_images
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import Model, NetworkConfig, save_weights
from napari_cwtnet.training.recipe import ImageSource, Recipe

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "src" / "napari_cwtnet" / "model" / "weights"
CARDS = ROOT / "docs" / "models"
SPECS = (
    "bicubic", "box", "gauss0.8", "bicubic+jpeg90-444", "bicubic+jpeg80-420", "box+jpeg75-420",
    "bicubic+jpeg30-420", "bicubic+sharpen0.5",
)  # fmt: skip
"""LR without compression, by three kernels; compressed; sharpened."""
STAINS = ["H&E", "PAS"]
"""What the shared training images are stained with."""
_IMAGES, _SIDE, _HALVED = 3, 512, ("bcss",)
_GLASS = 3.0
"""Standard deviation of empty glass, grey levels; tissue has more than ten."""
Gain = tuple[float, float]
"""PSNR (dB) and SSIM over bicubic."""


def main() -> None:
    """Ship one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--slide", type=Path, nargs="+", required=True)
    arguments = parser.parse_args()
    trained = load_model(arguments.weights)
    WEIGHTS.mkdir(exist_ok=True)
    CARDS.mkdir(exist_ok=True)
    shipped = WEIGHTS / arguments.weights.name
    if shipped.resolve() != arguments.weights.resolve():
        save_weights(shipped, trained.network, dict(trained.provenance), torch.float16)
    model = load_model(shipped)
    figures: dict[str, dict[str, float]] = {}
    card = CARDS / f"{model.name}.md"
    card.write_text(write_card(model, arguments.data, arguments.slide, figures), encoding="utf-8")
    known = {**model.provenance, "stains": STAINS, "figures": figures}
    save_weights(shipped, trained.network, known, torch.float16)
    print(card.read_text(encoding="utf-8"))


def tested_sources(recipe: Recipe) -> Iterator[ImageSource]:
    """Sources of which some images took no part in training or selection."""
    return (source for source in recipe.sources if source.tested)


def modes_of(model: Model) -> tuple[Literal["none", "next"], ...]:
    """The references that a model is measured with."""
    return ("none", "next") if model.takes_reference else ("none",)


def fields(source: ImageSource, data: Path, folder: Path) -> list[Path]:
    """Centres of up to three tested images, as PNG files; BCSS is halved to 20×.

    Empty glass is left out: bicubic is all but exact there, and one such field outweighs the rest.
    """
    made: list[Path] = []
    for path in chosen_images(data / source.folder, source.tested):
        if len(made) == _IMAGES:
            break
        with open_slide(path) as slide:
            factor = 2 if source.name in _HALVED else 1
            side = min(_SIDE, *(length // factor // 8 * 8 for length in slide.size))
            left, top = ((length // factor - side) // 16 * 8 for length in slide.size)
            region = Region(left * factor, top * factor, side * factor, side * factor)
            truth = slide.read(region, factor)
            if truth.mean(2).std() < _GLASS:
                continue
            made.append(folder / f"{source.name}-{path.stem}.png")
            Image.fromarray(truth).save(made[-1])
    return made


def gains(
    model: Model, files: Sequence[Path], reference: Literal["none", "next"]
) -> Iterator[Gain]:
    """Over bicubic of LR, or of the reference, for each of :data:`SPECS`."""
    base = "reference_bicubic" if reference == "next" else "bicubic"
    for spec in SPECS:
        means = evaluate_images(files, model, reference, degradation=spec, device="cpu").means()
        yield (
            (means["psnr"] or 0) - (means[f"psnr_{base}"] or 0),
            (means["ssim"] or 0) - (means[f"ssim_{base}"] or 0),
        )


def _kind(model: Model) -> str:
    return "CWT-Net" if isinstance(model.config, NetworkConfig) else model.config.architecture


def _size(model: Model) -> str:
    config = model.config
    if not isinstance(config, NetworkConfig):
        return ""
    return (
        f" ({config.blocks} CWTBs of {config.channels} channels, `{config.search}` search, "
        f"bands {', '.join(config.bands)})"
    )


def _table(
    model: Model,
    recipe: Recipe,
    data: Path,
    reference: Literal["none", "next"],
    figures: dict[str, dict[str, float]],
) -> list[str]:
    names = " | ".join(f"`{spec}`" for spec in SPECS)
    lines = [f"| LR, gain in dB | {names} |", "|---" * (1 + len(SPECS)) + "|"]
    rows: list[list[Gain]] = []
    for source in tested_sources(recipe):
        with tempfile.TemporaryDirectory() as folder:
            files = fields(source, data, Path(folder))
            found = list(gains(model, files, reference))
        rows.append(found)
        halved = " halved" if source.name in _HALVED else ""
        lines.append(f"| {source.name}{halved} ({len(files)}) | {_cells(found)} |")
    mean = [
        (sum(row[n][0] for row in rows) / len(rows), min(row[n][1] for row in rows))
        for n in range(len(SPECS))
    ]
    lines.append(f"| **mean** | {_cells(mean)} |")
    mode = "cross-scale" if reference == "next" else "single-image"
    figures[mode] = {spec: round(gain, 2) for spec, (gain, _) in zip(SPECS, mean, strict=True)}
    lines += ["", f"Least gain of SSIM in any cell: {min(g for row in rows for _, g in row):+.4f}."]
    return lines


def _cells(found: Sequence[Gain]) -> str:
    return " | ".join(f"{psnr:+.2f}" for psnr, _ in found)


def _slides(model: Model, slides: Sequence[Path]) -> Iterator[str]:
    yield "| slide | mode | LR | made by | PSNR | gain |"
    yield "|---|---|---|---|---|---|"
    for path in slides:
        with open_slide(path) as slide:
            for reference in modes_of(model):
                try:
                    found = check(slide, model, reference=reference, device="cpu")
                except CwtnetError:
                    continue
                quality = found.quality
                over = quality.psnr_reference_bicubic or quality.psnr_bicubic or 0
                yield (
                    f"| {path.name} | {found.mode} | {found.degradation} | {found.made_by} "
                    f"| {quality.psnr:.2f} dB | **{(quality.psnr or 0) - over:+.2f} dB** |"
                )


def write_card(
    model: Model, data: Path, slides: Sequence[Path], figures: dict[str, dict[str, float]]
) -> str:
    """The card as Markdown; ``figures`` gets the mean gain by mode and degradation."""
    recipe = Recipe.model_validate(model.provenance["recipe"])
    modes = "single-image and cross-scale" if model.takes_reference else "single-image"
    lines = [
        f"# {model.name}",
        "",
        f"{_kind(model)} ×{model.scale}, {modes}; {model.network.parameter_count():,} parameters"
        f"{_size(model)}.",
        "",
        "For Research Use Only. Not for use in diagnostic procedures.",
        "",
        "## Figures",
        "",
        "Gain in PSNR over bicubic enlargement of the same LR (in cross-scale mode, of the equally "
        "degraded reference), on images that took no part in training or in the choice of weights. "
        "Centres of 512² of the first three images of a source, empty glass left out. RGB, 8-bit, "
        "cropped by the scale. "
        "Each column is one way of making LR: the kernel, then what was done after it. "
        "`box+jpeg75-420`, the 2×2 mean and JPEG 75 with 4:2:0, is what many scanners store. The "
        "model knows kernel and compression, as from a slide's file.",
        "",
        "Osteosarcoma is held out by patient, BCSS by case. The CAMELYON tiles may share a slide "
        "with training tiles, though none has an edge in common with one; OCDC is one slide, held "
        "out by rows; the kidney images (PAS) do not say which slides they are from.",
    ]
    for reference in modes_of(model):
        title = "Cross-scale" if reference == "next" else "Single-image"
        lines += ["", f"### {title}", "", *_table(model, recipe, data, reference, figures)]
    lines += [
        "",
        "### On slides",
        "",
        "`napari-cwtnet check`: the finest pixels are hidden and computed again from the slide's "
        "own coarser level, or from one made like it. Means over four fields with tissue.",
        "",
        *_slides(model, slides),
        "",
        "Measure again with",
        "",
        "```sh",
    ]
    lines.append(
        f"python tools/ship_model.py src/napari_cwtnet/model/weights/{model.name}.safetensors "
        "--data FOLDER --slide SLIDE..."
    )
    lines += [
        f"napari-cwtnet check {slides[0].name} --model {model.name}",
        "```",
        "",
        "## Training",
        "",
        f"Recipe `{model.name}.yaml` in `src/napari_cwtnet/training/recipes/`; the shipped weights "
        f"are of step {model.provenance['step']:,}, after "
        f"{model.provenance['seconds'] / 60:.0f} minutes on one CPU core, and continue the weights "
        "shipped before under the same name. LR and reference of every patch go through a "
        "degradation drawn from the recipe's `degradation` section.",
        "",
        "| source | size used | share | validation | reported above | licence and origin |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {s.name} | {('native', 'halved', 'quartered', 'eighth')[s.halvings]} | {s.weight:.2f} "
        f"| {_patterns(s.held_out)} | {_patterns(s.tested)} | {s.licence} |"
        for s in recipe.sources
    ]
    lines += [
        "",
        "## Limits",
        "",
        "* Stains: haematoxylin and eosin, and PAS. Immunohistochemistry and fluorescence were not "
        "trained on.",
        "* Where a slide has a single level, nobody knows how soft its pixels are; the model then "
        "relies on what it sees, or on the sharpness that you choose.",
        "* Beyond native there is no truth: check it at half the magnification.",
        "* Detail that LR does not hold is a guess, plausible at best: it is no evidence.",
        "",
    ]
    return "\n".join(lines)


def _patterns(patterns: Sequence[str]) -> str:
    return ", ".join(f"`{pattern}`" for pattern in patterns) or "none"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
