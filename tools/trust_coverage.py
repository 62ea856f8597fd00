"""Test the promise about what is not marked, and whether pasted untruths are marked.

Usage: ``python tools/trust_coverage.py MODEL --source FOLDER|PATTERN... [--degradation SPEC...]``
or, as the program does it, on a slide's own levels: ``… MODEL --slide SLIDE...``

Each source stands for a slide: its images are cut into fields, shrunk and compressed
as SPEC says, and enhanced. A dozen of its fields, drawn at random, give the threshold, as in
*Calibrate on this slide*; another is tested. That is repeated. Then untruths are pasted
into the computed images: a dark patch of 24² pixels moved by 6 pixels, and a mitosis painted in.
Give sources that took no part in training; ``--halve`` takes images at half their size.

A slide is calibrated as by *Calibrate on this slide* for detail beyond native, one octave down at
×2, and the promise is tested on all fields with tissue that were not drawn for it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from trust_scores import pyramid_of

from napari_cwtnet import load_model, open_slide
from napari_cwtnet.enhancement import Engine, EnhanceRequest, make_plan
from napari_cwtnet.enhancement.check import tissue_fields
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection.calibration import (
    FIELD_SIDE,
    FIELDS,
    SQUARE,
    MeasuredField,
    Promise,
    calibrate,
    chosen_threshold,
    in_squares,
    measure_field,
)
from napari_cwtnet.inspection.trust import enhanced, expected_error
from napari_cwtnet.slides.array_slide import ArraySlide
from napari_cwtnet.slides.degradation import Degradation, Kernel
from napari_cwtnet.slides.degrade import shrink

Pixels = NDArray[np.uint8]
_MOST_FIELDS, _DRAWS, _GLASS = 24, 40, 3.0
_PATCH, _MOVE, _CHANGED = 24, 6, 12.0


@dataclass(frozen=True, slots=True)
class Tested:
    """A field, and the greatest expected error within each untruth pasted into it."""

    field: MeasuredField
    pasted: tuple[float, ...]


def main() -> None:
    """Print a line for each source and degradation, then the totals of each degradation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--source", nargs="+", default=[])
    parser.add_argument("--slide", type=Path, nargs="+", default=[])
    parser.add_argument("--halve", action="store_true", help="2×2 means of the images")
    parser.add_argument("--side", type=int, default=FIELD_SIDE, help="of a field, pixels")
    parser.add_argument("--degradation", nargs="+", default=["bicubic", "box", "box+jpeg75-420"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    engine, promise = Engine(load_model(arguments.model), "cpu", 0), Promise()
    random = np.random.default_rng(0)
    for path in arguments.slide:
        print(on_slide(engine, path, promise), flush=True)
    for spec in arguments.degradation if arguments.source else []:
        kept: list[float] = []
        marked: list[float] = []
        found: list[float] = []
        for source in arguments.source:
            made = Degradation.parse(spec)
            cut = fields(source, arguments.side, 2 if arguments.halve else 1)
            tested = [measure(engine, truth, made, promise) for truth in cut]
            if len(tested) < FIELDS + 2:
                print(f"{spec} {source}: {len(tested)} fields, too few")
                continue
            own = trials(tested, promise, random)
            for total, values in zip((kept, marked, found), own, strict=True):
                total.extend(values)
            print(f"{spec} {source}: {words(len(tested), *own)}", flush=True)
        if kept:
            print(f"{spec}, all: {words(len(kept), kept, marked, found)}", flush=True)


def on_slide(engine: Engine, path: Path, promise: Promise) -> str:
    """Whether the promise holds on the fields of a slide that did not make it."""
    with open_slide(path) as slide:
        request = EnhanceRequest(slide.bounds, 1.0, "none")
        plan = make_plan(slide, engine.model, request)
        found = calibrate(slide, engine, plan, promise=promise)
        if found.threshold is None:
            return f"{path.name}: {found.sentence}"
        finest = found.downsample / plan.scale
        drawn = set(tissue_fields(slide, finest, FIELDS, FIELD_SIDE, at_random=True))
        others = [
            measure_field(slide, engine, plan, region, promise)
            for region in tissue_fields(slide, finest, 10**6, FIELD_SIDE)
            if region not in drawn
        ]
    kept = np.mean([one.missed(found.threshold) <= promise.area for one in others])
    marked = np.median([one.marked(found.threshold) for one in others])
    return (
        f"{path.name} ({found.degradation}): threshold {found.threshold:.1f}, promise kept in "
        f"{100 * kept:.0f} % of {len(others)} other fields, marked {100 * marked:.0f} % of the "
        "median field"
    )


def fields(source: str, side: int, shrunk: int = 1) -> list[Pixels]:
    """Fields with tissue of a source's images, spread over them."""
    where = Path(source)
    paths = sorted(where.iterdir() if where.is_dir() else where.parent.glob(where.name))
    cut: list[Pixels] = []
    for path in paths:
        with open_slide(path) as slide:
            columns, rows = (int(length // (side * shrunk)) for length in slide.size)
            places = [(x, y) for y in range(rows) for x in range(columns)]
            step = max(1, len(places) * len(paths) // (2 * _MOST_FIELDS))
            for x, y in places[::step]:
                fine = side * shrunk
                truth = slide.read(Region(x * fine, y * fine, fine, fine), 1)
                truth = shrink(truth, Kernel("box"), shrunk)
                if truth.mean(2).std() > 2 * _GLASS:
                    cut.append(truth)
    step = max(1, len(cut) // _MOST_FIELDS)
    return cut[::step][:_MOST_FIELDS]


def measure(engine: Engine, truth: Pixels, made: Degradation, promise: Promise) -> Tested:
    """One field, and the untruths pasted into its computed image."""
    with pyramid_of(truth, made, engine.model.scale) as pyramid:
        request = EnhanceRequest(pyramid.bounds, engine.model.scale, "none")
        plan = make_plan(pyramid, engine.model, request)
        field = measure_field(pyramid, engine, plan, pyramid.bounds, promise)
        return Tested(field, pasted(engine, pyramid, truth))


def pasted(engine: Engine, pyramid: ArraySlide, truth: Pixels) -> tuple[float, ...]:
    """The greatest expected error of a changed square, for each untruth."""
    scale = engine.model.scale
    plan = make_plan(pyramid, engine.model, EnhanceRequest(pyramid.bounds, scale, "none"))
    canvas = enhanced(pyramid, engine, plan)
    lr, kernel = pyramid.read(pyramid.bounds, scale), engine.known(pyramid, plan)[0].kernel
    found = []
    for wrong in (moved(canvas.image, truth), painted(canvas.image)):
        size = np.abs(wrong.astype(np.float32) - canvas.image).mean(-1)
        changed = in_squares(size, SQUARE) > _CHANGED
        expected = in_squares(expected_error(wrong, lr, canvas.error, kernel), SQUARE // scale)
        if changed.any():
            found.append(float(expected[changed].max()))
    return tuple(found)


def moved(image: Pixels, truth: Pixels) -> Pixels:
    """The darkest patch, moved to the right: mostly a nucleus."""
    dark = in_squares(255 - truth.mean(-1), _PATCH)[1:-1, 1:-1]
    row, column = np.unravel_index(dark.argmax(), dark.shape)
    y, x = int(row + 1) * _PATCH, int(column + 1) * _PATCH
    wrong = image.copy()
    patch = image[y : y + _PATCH, x : x + _PATCH]
    wrong[y : y + _PATCH, x + _MOVE : x + _MOVE + _PATCH] = patch
    return wrong


def painted(image: Pixels) -> Pixels:
    """A dark plate of 22 × 8 pixels with soft edges, as of a mitosis, in the middle."""
    rows, columns = np.indices(image.shape[:2])
    middle = [length / 2 for length in image.shape[:2]]
    inside = ((rows - middle[0]) / 4) ** 2 + ((columns - middle[1]) / 11) ** 2
    share = np.clip(1.5 - inside, 0, 1)[..., None]
    return np.asarray(np.rint(image * (1 - share) + np.array([70, 35, 100]) * share), np.uint8)


def trials(
    tested: list[Tested], promise: Promise, random: np.random.Generator
) -> tuple[list[float], list[float], list[float]]:
    """Of fields not drawn: 1 where the promise is kept, the marked share, 1 where marked."""
    kept, marked, found = [], [], []
    for _ in range(_DRAWS):
        order = random.permutation(len(tested))
        critical = [tested[n].field.critical(promise.area) for n in order[:FIELDS]]
        threshold = chosen_threshold(critical, promise)
        if threshold is None:
            raise AssertionError("a dozen fields are enough")
        other = tested[order[FIELDS]]
        kept.append(float(other.field.missed(threshold) <= promise.area))
        marked.append(other.field.marked(threshold))
        found += [float(expected >= threshold) for expected in other.pasted]
    return kept, marked, found


def words(count: int, kept: list[float], marked: list[float], found: list[float]) -> str:
    """The figures of a source, or of all."""
    return (
        f"{count} fields, promise kept in {100 * np.mean(kept):.0f} %, marked "
        f"{100 * np.median(marked):.0f} % of the median field, untruths marked "
        f"{100 * np.mean(found):.0f} %"
    )


if __name__ == "__main__":
    main()
