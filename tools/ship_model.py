"""Put a trained model among those that ship: float16 weights, and a card with held-out figures.

Usage: ``python tools/ship_model.py RUN/NAME.safetensors --data FOLDER --slide SLIDE``

``--data`` is the folder that the recipe's sources are relative to, ``--slide`` a slide that was
never trained on. All figures are those of the float16 weights that ship.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch

from napari_cwtnet import enhance, load_model, open_slide
from napari_cwtnet.evaluation import chosen_images, evaluate_images
from napari_cwtnet.model import Model, NetworkConfig, save_weights
from napari_cwtnet.training.recipe import ImageSource, Recipe

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "src" / "napari_cwtnet" / "model" / "weights"
CARDS = ROOT / "docs" / "models"
Figures = dict[str, float | None]


def main() -> None:
    """Ship one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--slide", type=Path, required=True)
    arguments = parser.parse_args()
    trained = load_model(arguments.weights)
    WEIGHTS.mkdir(exist_ok=True)
    CARDS.mkdir(exist_ok=True)
    shipped = WEIGHTS / arguments.weights.name
    save_weights(shipped, trained.network, dict(trained.provenance), torch.float16)
    model = load_model(shipped)
    card = CARDS / f"{model.name}.md"
    card.write_text(write_card(model, arguments.data, arguments.slide), encoding="utf-8")
    print(card.read_text(encoding="utf-8"))


def held_out_sources(recipe: Recipe) -> Iterator[ImageSource]:
    """Sources at their own size of which some images were kept out of training."""
    return (s for s in recipe.sources if s.held_out and s.halvings == 0)


def measurements(model: Model, data: Path, slide: Path) -> Iterator[tuple[str, str, Figures]]:
    """Name of the data, mode, and mean figures."""
    recipe = Recipe.model_validate(model.provenance["recipe"])
    modes: tuple[Literal["none", "next"], ...] = ("none",)
    if model.takes_reference:
        modes = ("none", "next")
    for reference in modes:
        for source in held_out_sources(recipe):
            files = chosen_images(data / source.folder, source.held_out)
            evaluation = evaluate_images(files, model, reference, device="cpu")
            yield f"{source.name} ({len(files)} images)", evaluation.mode, evaluation.means()
        with open_slide(slide) as opened:
            result = enhance(
                opened, opened.bounds, model.scale, model=model, reference=reference, device="cpu"
            )
        yield f"{slide.name}, whole", result.mode, result.metrics.as_dict()


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


def write_card(model: Model, data: Path, slide: Path) -> str:
    """The card as Markdown."""
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
        "On images that were kept out of training, and on a whole slide that was. RGB, 8-bit "
        "rounded, cropped by the scale; LR (and reference) by antialiased bicubic. Gains are over "
        "bicubic of LR; in cross-scale mode, over bicubic of the reference.",
        "",
        "How far apart the images are: osteosarcoma is held out by patient, BCSS by case. The "
        "source of the CAMELYON tiles does not say from which slide they are: none that is held "
        "out has an edge in common with one that was trained on (their borders were matched), but "
        "they may be of one slide; OCDC is one slide, held out by its rows. Read those two as "
        "figures on a slide that was seen. The best checkpoint is chosen by the centres of these "
        "same images; CMU-1 took no part in any choice.",
        "",
        "| data | mode | PSNR | gain | SSIM | SSIM of bicubic |",
        "|---|---|---|---|---|---|",
    ]
    for name, mode, figures in measurements(model, data, slide):
        base = "reference_bicubic" if mode == "cross-scale" else "bicubic"
        gain = (figures["psnr"] or 0) - (figures[f"psnr_{base}"] or 0)
        lines.append(
            f"| {name} | {mode} | {figures['psnr']:.2f} dB | **{gain:+.2f} dB** "
            f"| {figures['ssim']:.4f} | {figures[f'ssim_{base}']:.4f} |"
        )
    lines += ["", "Get them again with", "", "```sh"]
    option = " --reference next" if model.takes_reference else ""
    for source in held_out_sources(recipe):
        patterns = " ".join(f"--pattern '{p}'" for p in source.held_out)
        lines.append(
            f"napari-cwtnet evaluate --images {source.folder} {patterns} "
            f"--model {model.name}{option}"
        )
    lines += [
        f"napari-cwtnet enhance {slide.name} --region 0,0,WIDTH,HEIGHT --downsample {model.scale} "
        f"--model {model.name} --output out.png --json",
        "```",
        "",
        "WIDTH and HEIGHT are the slide's, as `napari-cwtnet info` says."
        + (" For single-image figures, `--reference none`." if model.takes_reference else ""),
        "",
        "## Training",
        "",
        f"Recipe `{model.name}.yaml` in `src/napari_cwtnet/training/recipes/`; the best by "
        f"validation was step {model.provenance['step']:,}, after "
        f"{model.provenance['seconds'] / 60:.0f} minutes on one CPU core. "
        f"Again: `napari-cwtnet train {model.name} --data FOLDER --output RUN`.",
        "",
        "| source | size used | share | kept out | licence and origin |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {s.name} | {('native', 'halved', 'quartered', 'eighth')[s.halvings]} | {s.weight:.2f} "
        f"| {', '.join(f'`{p}`' for p in s.held_out) or 'none'} | {s.licence} |"
        for s in recipe.sources
    ]
    lines += [
        "",
        "## Limits",
        "",
        "* Haematoxylin and eosin only; other stains and fluorescence were not trained on.",
        "* Trained on octaves that were computed by antialiased bicubic. Beyond native the gain is "
        "not known and can be smaller. On LR that another filter made, such as a scanner's own "
        "coarser levels, the model is worse than bicubic; where a slide has finer levels, LR is "
        "therefore made of these ([0014](../decisions/0014-levels-made-by-one-kernel.md)).",
        "* What a scanner's compression leaves in the input is sharpened with the rest: on a JPEG "
        "of low quality, block edges become clearer too.",
        "* Detail that LR does not hold is a guess, plausible at best: it is no evidence.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
