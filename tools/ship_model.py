"""Put a trained model among those that ship: float16 weights, and a card with held-out figures.

Usage: ``python tools/ship_model.py RUN/NAME.safetensors --data FOLDER --slide SLIDE...``

``--data`` is the folder that the recipe's sources are relative to, ``--slide`` slides that were
never trained on. All figures are those of the float16 weights that ship. ``--purpose "for looking
inside"`` is for a model that is not for use; a few ``--specs`` are quicker than all.
"""

from __future__ import annotations

import argparse
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from napari_cwtnet import load_model, open_slide
from napari_cwtnet.enhancement.check import check
from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.evaluation import (
    NucleiAgreement,
    chosen_images,
    evaluate_images,
    find_nuclei,
)
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
NUCLEI_SPECS = ("bicubic", "box+jpeg75-420")
_IMAGES, _SIDE, _HALVED = 3, 512, ("bcss",)
_MPP = {"osteosarcoma": 1.0, "camelyon": 1.0}
"""µm per pixel as measured, of the others 0.5; that of CAMELYON is by the size of its nuclei."""
_SLIDE_MPP = 0.5
_GLASS = 3.0
"""Standard deviation of empty glass, grey levels; tissue has more than ten."""
Pixels = NDArray[np.uint8]
Gain = tuple[float, float]
"""PSNR (dB) and SSIM over bicubic."""


def main() -> None:
    """Ship one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--slide", type=Path, nargs="+", required=True)
    parser.add_argument("--specs", nargs="+", default=list(SPECS))
    parser.add_argument("--purpose", help="of a model that is not for use; kept with the weights")
    arguments = parser.parse_args()
    trained = load_model(arguments.weights)
    known = dict(trained.provenance)
    if arguments.purpose is not None:
        known["purpose"] = arguments.purpose
    WEIGHTS.mkdir(exist_ok=True)
    CARDS.mkdir(exist_ok=True)
    shipped = WEIGHTS / arguments.weights.name
    if shipped.resolve() != arguments.weights.resolve():
        save_weights(shipped, trained.network, known, torch.float16)
    model = load_model(shipped)
    figures: dict[str, dict[str, float]] = {}
    card = CARDS / f"{model.name}.md"
    inputs = Inputs(arguments.data, arguments.slide, tuple(arguments.specs))
    card.write_text(write_card(model, inputs, figures), encoding="utf-8")
    known |= {"stains": STAINS, "figures": figures}
    save_weights(shipped, trained.network, known, torch.float16)
    print(card.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a model is measured on."""

    data: Path
    slides: Sequence[Path]
    specs: tuple[str, ...]


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
        truth = centre(path, source)
        if truth.mean(2).std() < _GLASS:
            continue
        made.append(folder / f"{source.name}-{path.stem}.png")
        Image.fromarray(truth).save(made[-1])
    return made


def centre(path: Path, source: ImageSource) -> Pixels:
    """The middle of an image, as large as is measured on."""
    with open_slide(path) as slide:
        factor = 2 if source.name in _HALVED else 1
        side = min(_SIDE, *(length // factor // 8 * 8 for length in slide.size))
        left, top = ((length // factor - side) // 16 * 8 for length in slide.size)
        region = Region(left * factor, top * factor, side * factor, side * factor)
        return slide.read(region, factor)


def rich_in_nuclei(truths: Iterator[Pixels], mpp: float, folder: Path) -> list[Path]:
    """PNG files of the three truths with the most nuclei."""
    counted = [(find_nuclei(truth, mpp).count, truth) for truth in truths]
    most = sorted(counted, key=lambda one: -one[0])[:_IMAGES]
    files = [folder / f"{number}.png" for number in range(len(most))]
    for (_, truth), path in zip(most, files, strict=True):
        Image.fromarray(truth).save(path)
    return files


def squares(path: Path) -> Iterator[Pixels]:
    """All of a slide at about 20×, in squares."""
    with open_slide(path) as slide:
        downsample = max(1, round(_SLIDE_MPP / (slide.mpp or _SLIDE_MPP)))
        side = _SIDE * downsample
        columns, rows = (length // side for length in slide.size)
        for number in range(columns * rows):
            left, top = number % columns * side, number // columns * side
            yield slide.read(Region(left, top, side, side), downsample)


def gains(
    model: Model,
    files: Sequence[Path],
    reference: Literal["none", "next"],
    specs: Sequence[str],
) -> Iterator[Gain]:
    """Over bicubic of LR, or of the reference, for each of the specs."""
    base = "reference_bicubic" if reference == "next" else "bicubic"
    for spec in specs:
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
    inputs: Inputs,
    reference: Literal["none", "next"],
    figures: dict[str, dict[str, float]],
) -> list[str]:
    specs = inputs.specs
    names = " | ".join(f"`{spec}`" for spec in specs)
    lines = [f"| LR, gain in dB | {names} |", "|---" * (1 + len(specs)) + "|"]
    rows: list[list[Gain]] = []
    for source in tested_sources(recipe):
        with tempfile.TemporaryDirectory() as folder:
            files = fields(source, inputs.data, Path(folder))
            found = list(gains(model, files, reference, specs))
        rows.append(found)
        halved = " halved" if source.name in _HALVED else ""
        lines.append(f"| {source.name}{halved} ({len(files)}) | {_cells(found)} |")
    mean = [
        (sum(row[n][0] for row in rows) / len(rows), min(row[n][1] for row in rows))
        for n in range(len(specs))
    ]
    lines.append(f"| **mean** | {_cells(mean)} |")
    mode = "cross-scale" if reference == "next" else "single-image"
    figures[mode] = {spec: round(gain, 2) for spec, (gain, _) in zip(specs, mean, strict=True)}
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


def nuclei_lines(model: Model, recipe: Recipe, inputs: Inputs) -> Iterator[str]:
    """How nuclei of SR and of bicubic agree with those of the truth, and where SR is behind."""
    yield "| source | mode | LR | nuclei | F1 | count error | area | haematoxylin |"
    yield "|---|---|---|---|---|---|---|---|"
    behind: list[str] = []
    for name, mpp, truths in truths_for_nuclei(recipe, inputs):
        with tempfile.TemporaryDirectory() as folder:
            files = rich_in_nuclei(truths, mpp, Path(folder))
            for reference in modes_of(model):
                for spec in NUCLEI_SPECS:
                    found = evaluate_images(
                        files, model, reference, degradation=spec, nuclei_mpp=mpp, device="cpu"
                    )
                    pictures = found.all_nuclei()
                    sr = pictures["sr"]
                    plain = pictures["bicubic" if reference == "none" else "reference_bicubic"]
                    yield (
                        f"| {name} ({len(files)}) | {found.mode} | `{spec}` | {sr.truth} "
                        f"| {_cells_of_nuclei(sr, plain)} |"
                    )
                    worse = [
                        word
                        for word, is_worse in (
                            ("F1", (sr.f1 or 0) < (plain.f1 or 0)),
                            ("count", (sr.count_error or 0) > (plain.count_error or 0)),
                        )
                        if is_worse
                    ]
                    if worse:
                        behind.append(f"{name}, {found.mode}, `{spec}` ({' and '.join(worse)})")
    yield ""
    if behind:
        yield f"SR is further from the truth than plain enlargement on: {'; '.join(behind)}."
    else:
        yield "SR is nearer to the truth than plain enlargement, or as near, in every row."


def truths_for_nuclei(
    recipe: Recipe, inputs: Inputs
) -> Iterator[tuple[str, float, Iterator[Pixels]]]:
    """Name, µm per pixel and truths of each source and slide that was not trained on."""
    for source in tested_sources(recipe):
        files = chosen_images(inputs.data / source.folder, (*source.tested, *source.held_out))
        halved = " halved" if source.name in _HALVED else ""
        truths = (centre(path, source) for path in files)
        yield source.name + halved, _MPP.get(source.name, 0.5), truths
    for path in inputs.slides:
        yield path.name, _SLIDE_MPP, squares(path)


def _cells_of_nuclei(sr: NucleiAgreement, plain: NucleiAgreement) -> str:
    shown = [f"{sr.f1 or 0:.3f} / {plain.f1 or 0:.3f}"]
    for name in ("count_error", "area_bias", "haematoxylin_bias"):
        sign = "" if name == "count_error" else "+"
        both = (getattr(one, name) for one in (sr, plain))
        shown.append(" / ".join(f"{100 * (value or 0):{sign}.1f} %" for value in both))
    return " | ".join(shown)


def _nuclei_section(model: Model, recipe: Recipe, inputs: Inputs) -> list[str]:
    return [
        "",
        "### Nuclei",
        "",
        "`napari-cwtnet evaluate --nuclei`: nuclei by colour deconvolution, Otsu's threshold and "
        "watershed, of SR / of plain enlargement (in cross-scale mode, of the reference), compared "
        "with those of the truth. F1 of nuclei matched at an intersection over union above 0.5; "
        "count error; relative bias of area and of haematoxylin of matched nuclei. The three "
        "images (of a slide, squares of 512²) with the most nuclei, of those tested or used to "
        "choose weights.",
        "",
        *nuclei_lines(model, recipe, inputs),
    ]


def write_card(model: Model, inputs: Inputs, figures: dict[str, dict[str, float]]) -> str:
    """The card as Markdown; ``figures`` gets the mean gain by mode and degradation."""
    recipe = Recipe.model_validate(model.provenance["recipe"])
    origin = "the weights shipped before under the same name"
    if model.purpose:
        origin = "other weights, see the recipe"
    purpose = [f"**{model.purpose.capitalize()}, not for use.**", ""] if model.purpose else []
    modes = "single-image and cross-scale" if model.takes_reference else "single-image"
    lines = [
        f"# {model.name}",
        "",
        f"{_kind(model)} ×{model.scale}, {modes}; {model.network.parameter_count():,} parameters"
        f"{_size(model)}.",
        "",
        *purpose,
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
        lines += ["", f"### {title}", "", *_table(model, recipe, inputs, reference, figures)]
    if not model.purpose:
        lines += _nuclei_section(model, recipe, inputs)
    lines += [
        "",
        "### On slides",
        "",
        "`napari-cwtnet check`: the finest pixels are hidden and computed again from the slide's "
        "own coarser level, or from one made like it. Means over four fields with tissue.",
        "",
        *_slides(model, inputs.slides),
        "",
        "Measure again with",
        "",
        "```sh",
    ]
    some = "" if inputs.specs == SPECS else f" --specs {shlex.join(inputs.specs)}"
    lines.append(
        f"python tools/ship_model.py src/napari_cwtnet/model/weights/{model.name}.safetensors "
        f"--data FOLDER --slide SLIDE...{some}"
    )
    lines += [
        f"napari-cwtnet check {inputs.slides[0].name} --model {model.name}",
        "```",
        "",
        "## Training",
        "",
        f"Recipe `{model.name}.yaml` in `src/napari_cwtnet/training/recipes/`; the shipped weights "
        f"are of step {model.provenance['step']:,}, after "
        f"{model.provenance['seconds'] / 60:.0f} minutes on one CPU core, and continue "
        f"{origin}. "
        "LR and reference of every patch go through a "
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
