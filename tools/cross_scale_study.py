"""Whoever holds the reference can also enlarge *it*: ×4 cross-scale against ×2 on the reference.

Usage: ``python tools/cross_scale_study.py --data FOLDER --slide SLIDE [--repeats 3]``

Both give the same pixels of the same held-out images (those of the ×4 recipe) and of a slide that
neither model saw; they take turns, so that a busy machine affects them equally. Prints a Markdown
table.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from napari_cwtnet import load_model, open_slide
from napari_cwtnet.enhancement import (
    Canvas,
    Engine,
    EnhanceRequest,
    Quality,
    make_plan,
    measure,
)
from napari_cwtnet.evaluation import chosen_images
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import Slide
from napari_cwtnet.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Way:
    """A model at work, and what it is given."""

    engine: Engine
    downsample: int
    reference: Literal["next", "none"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--slide", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cross-scale", default="cwtnet-lite-x4")
    parser.add_argument("--single-image", default="cwtnet-lite-x2")
    arguments = parser.parse_args()
    wide, narrow = load_model(arguments.cross_scale), load_model(arguments.single_image)
    ways = (
        Way(Engine(wide, "cpu", cache_bytes=0), 4, "next"),
        Way(Engine(narrow, "cpu", cache_bytes=0), 2, "none"),
    )
    print(
        f"| data | bicubic ×2 of the reference | {wide.name}, cross-scale "
        f"| {narrow.name} on the reference | time, first to second |"
    )
    print("|---|---|---|---|---|")
    recipe = Recipe.model_validate(wide.provenance["recipe"])
    for name, files in held_out_files(recipe, arguments.data, arguments.slide):
        print(line(name, files, ways, arguments.repeats), flush=True)


def held_out_files(recipe: Recipe, data: Path, slide: Path) -> Iterator[tuple[str, list[Path]]]:
    """Images that were kept out of training, by source, and the slide."""
    for source in recipe.sources:
        if source.tested and source.halvings == 0:
            yield source.name, chosen_images(data / source.folder, source.tested)
    yield slide.name, [slide]


def line(name: str, files: list[Path], ways: tuple[Way, Way], repeats: int) -> str:
    """One row: gains of both ways over bicubic of the reference, and the ratio of their times."""
    qualities: tuple[list[Quality], list[Quality]] = ([], [])
    ratios = []
    for path in files:
        with open_slide(path) as slide:
            region = Region(0, 0, *(side - side % 4 for side in slide.size))
            for turn in range(repeats):
                seconds = []
                for way, kept in zip(ways, qualities, strict=True):
                    spent, quality = one_run(way, slide, region, measured=turn == 0)
                    seconds.append(spent)
                    kept.extend([quality] if quality else [])
                ratios.append(seconds[0] / seconds[1])
    base = mean(q.psnr_reference_bicubic for q in qualities[0])
    gains = [f"{mean(q.psnr for q in found) - base:+.2f} dB" for found in qualities]
    return (
        f"| {name} ({len(files)}) | {base:.2f} dB | {' | '.join(gains)} "
        f"| {statistics.median(ratios):.2f} |"
    )


def one_run(
    way: Way, slide: Slide, region: Region, *, measured: bool
) -> tuple[float, Quality | None]:
    """Seconds from the request to the last tile, and the figures if wanted."""
    began = time.perf_counter()
    request = EnhanceRequest(region, way.downsample, way.reference)
    plan = make_plan(slide, way.engine.model, request)
    canvas = Canvas(plan)
    for finished in way.engine.run(slide, plan):
        canvas.add(finished.tile, finished.sr)
    seconds = time.perf_counter() - began
    return seconds, measure(slide, plan, canvas.image) if measured else None


def mean(values: Iterable[float | None]) -> float:
    """Of those that are known."""
    return statistics.mean(value for value in values if value is not None)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
