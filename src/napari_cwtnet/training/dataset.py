"""Building a dataset of matched samples of real levels, as the paper's MLCamSR is one."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_cwtnet import __version__
from napari_cwtnet.errors import OutputError, TrainingError
from napari_cwtnet.files import check_writable, folder_written_whole, refuse_pipe, sweep
from napari_cwtnet.slides import Slide, open_slide
from napari_cwtnet.training.samples import (
    GUARD,
    Sample,
    SampleLevel,
    grid,
    levels_agree,
    sample_levels,
    split_samples,
    square_at,
)
from napari_cwtnet.training.slide_fields import LEAST_TISSUE, sharpness, tissue_mask


@dataclass(frozen=True, slots=True)
class Place:
    """A point of a slide, level-0 pixels, and what the list calls it."""

    x: float
    y: float
    label: str = ""


def read_places(path: Path, slides: list[Path]) -> dict[Path, list[Place]]:
    """Places by slide, from lines ``SLIDE,X,Y[,LABEL]``; a first line of ``slide,…`` is a head.

    Parameters
    ----------
    path : Path
        CSV, UTF-8.
    slides : list of Path
        Named in the list by their file name, with or without its suffix.

    Raises
    ------
    TrainingError
        If the file cannot be read, or a line is not of that form or names no slide that was given.
    """
    by_name = {slide.stem: slide for slide in slides} | {slide.name: slide for slide in slides}
    found: dict[Path, list[Place]] = {slide: [] for slide in slides}
    try:
        refuse_pipe(path)
        with path.open(newline="", encoding="utf-8") as handle:
            lines = list(csv.reader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise TrainingError(f"Coordinates {path} cannot be read: {why}.") from error
    for number, line in enumerate(lines, start=1):
        fields = [field.strip() for field in line]
        if not any(fields) or (number == 1 and fields[0].lower() == "slide"):
            continue
        where = f"Coordinates {path}, line {number}"
        try:
            x, y = float(fields[1]), float(fields[2])
        except (IndexError, ValueError):
            x = y = math.nan
        if not (math.isfinite(x) and math.isfinite(y)):
            raise TrainingError(
                f"{where}: {','.join(line)!r} is not SLIDE,X,Y[,LABEL] in level-0 pixels."
            )
        if fields[0] not in by_name:
            raise TrainingError(
                f"{where}: slide {fields[0]!r} is not among those given; name it on the command "
                "line or take the line out."
            )
        label = fields[3] if len(fields) > 3 else ""
        found[by_name[fields[0]]].append(Place(x, y, label))
    return found


_BLURRED = 0.1
MANIFEST = "manifest.json"


def build_dataset(
    paths: Sequence[Path],
    output: Path,
    *,
    coordinates: Path | None = None,
    magnifications: Sequence[int] = (40, 20, 10),
    count: int = 1200,
    mpp: float | None = None,
    image: int | None = None,
    computed: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write matched samples of slides and a manifest.

    Parameters
    ----------
    paths : sequence of Path
        Slides.
    output : Path
        New or empty folder; gets ``train/40x/ID.png`` and so on, and ``manifest.json``. It appears
        when all of it is there; a build that was killed begins again.
    coordinates : Path, optional
        CSV of upper left corners, see :func:`~napari_cwtnet.training.dataset.read_places`;
        without it, places are found on a grid.
    magnifications : sequence of int
        Of 80, 40, 20, 10 and 5. The finest sample has 1024 × 1024 pixels.
    count : int
        Most samples, over all slides.
    mpp : float, optional
        µm per level-0 pixel, instead of what the files say.
    image : int, optional
        Which one, of files that hold several.
    computed : bool
        Whether a level that a slide does not store may be made from the next finer one.
    seed : int
        Of all choices.
    progress : callable, optional
        Called after each sample with those done and those in all.

    Returns
    -------
    dict
        The manifest. Slides are in it by their fingerprint only.

    Raises
    ------
    TrainingError
        If a slide does not have the levels, is given twice, or nothing is left after the checks.
    SlideError
        If a slide cannot be read.
    OutputError
        If the folder is not empty or cannot be written to.
    """
    sweep(output.absolute().parent, output.name)
    _refuse_taken(output)
    check_writable(output)
    places = None if coordinates is None else read_places(coordinates, list(paths))
    left_out: Counter[str] = Counter(blank=0, blurred=0, outside=0, near=0, disagreeing=0)
    with ExitStack() as stack:
        slides = [stack.enter_context(open_slide(path, mpp=mpp, image=image)) for path in paths]
        _refuse_twins(slides)
        levels = [sample_levels(slide, magnifications) for slide in slides]
        if not computed:
            for slide, wanted in zip(slides, levels, strict=True):
                _refuse_computed(slide, wanted)
        quota = -(-count // len(slides))
        chosen: list[Sample] = []
        for index, slide in enumerate(slides):
            own = None if places is None else places[paths[index]]
            candidates = _candidates(slide, index, levels[index], own)
            chosen += _worthy(
                slide,
                candidates,
                levels[index],
                quota=quota,
                seed=seed + index,
                left_out=left_out,
            )
        guard = [GUARD * wanted[-1].downsample for wanted in levels]
        samples, left_out["near"] = split_samples(chosen[:count], guard, seed)
        if not samples:
            raise _nothing_left(left_out)
        _make_folder(output.absolute().parent)
        with folder_written_whole(output.absolute()) as partial:
            partial.mkdir()
            entries, mean = _write(
                slides, samples, levels, partial, left_out=left_out, progress=progress
            )
            if not entries:
                raise _nothing_left(left_out)
            manifest = _manifest(slides, levels, entries, mean, left_out=left_out, seed=seed)
            text = json.dumps(manifest, indent=1)
            (partial / MANIFEST).write_text(text, encoding="utf-8")
    return manifest


def _refuse_taken(output: Path) -> None:
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if output.is_dir() and not (output / MANIFEST).exists() and (output / "train").is_dir():
        raise OutputError(
            f"Folder {output} holds a dataset without its {MANIFEST}, which was not finished; "
            "delete the folder and build it again, or choose a new one."
        )
    raise OutputError(f"Folder {output} is not empty; choose a new one for the dataset.")


def _nothing_left(left_out: Counter[str]) -> TrainingError:
    return TrainingError(
        f"No sample is left after the checks ({_counts(left_out)}); give larger slides, or "
        "coordinates with tissue."
    )


def _manifest(
    slides: Sequence[Slide],
    levels: Sequence[Sequence[SampleLevel]],
    entries: list[dict[str, Any]],
    mean: list[float],
    *,
    left_out: Counter[str],
    seed: int,
) -> dict[str, Any]:
    return {
        "software": f"napari-cwtnet {__version__}",
        "seed": seed,
        "guard": GUARD,
        "slides": [
            {
                "fingerprint": slide.fingerprint,
                "mpp": slide.mpp,
                "icc_applied": slide.icc,
                "levels": [
                    {
                        "magnification": level.magnification,
                        "downsample": level.downsample,
                        "side": level.side,
                        "stored": level.stored,
                    }
                    for level in wanted
                ],
            }
            for slide, wanted in zip(slides, levels, strict=True)
        ],
        "train": sum(entry["split"] == "train" for entry in entries),
        "test": sum(entry["split"] == "test" for entry in entries),
        "left_out": dict(left_out),
        "rgb_mean": mean,
        "samples": entries,
    }


def _counts(left_out: Counter[str]) -> str:
    return ", ".join(f"{number} {why}" for why, number in left_out.items())


def _refuse_twins(slides: Sequence[Slide]) -> None:
    known: dict[str, Slide] = {}
    for slide in slides:
        twin = known.setdefault(slide.fingerprint, slide)
        if twin is not slide:
            raise TrainingError(
                f"Slides {twin.path.name!r} and {slide.path.name!r} are the same image, which "
                "would be trained on and tested on; leave one out."
            )


def _refuse_computed(slide: Slide, levels: Sequence[SampleLevel]) -> None:
    for level in levels:
        if not level.stored:
            stored = ", ".join(f"{stored.downsample:g}" for stored in slide.levels)
            raise TrainingError(
                f"Slide {slide.path.name!r} stores no {level.magnification}× (downsample "
                f"{level.downsample:g}; stored: {stored}); add --allow-computed to make it from "
                "the next finer level."
            )


def _candidates(
    slide: Slide, index: int, levels: Sequence[SampleLevel], places: list[Place] | None
) -> list[Sample]:
    if places is None:
        return [Sample(index, region) for region in grid(slide.bounds, levels)]
    named = {square_at(p.x, p.y, levels): p.label for p in places}  # a place named twice is one
    return [Sample(index, region, label) for region, label in named.items()]


def _worthy(
    slide: Slide,
    candidates: Sequence[Sample],
    levels: Sequence[SampleLevel],
    *,
    quota: int,
    seed: int,
    left_out: Counter[str],
) -> list[Sample]:
    """Samples inside the slide, with tissue, no blurrier than a tenth of the slide's median."""
    found: list[tuple[Sample, float]] = []
    order = np.random.default_rng(seed).permutation(len(candidates))
    for sample in (candidates[index] for index in order):
        if len(found) == quota:
            break
        if sample.region.intersection(slide.bounds) != sample.region:
            left_out["outside"] += 1
        elif tissue_mask(slide.read(sample.region, levels[-1].downsample)).mean() < LEAST_TISSUE:
            left_out["blank"] += 1
        else:
            finest = slide.read(sample.region, levels[0].downsample)
            found.append((sample, sharpness(finest)))
    typical = float(np.median([value for _, value in found] or [0.0]))
    sharp = [sample for sample, value in found if value > _BLURRED * typical]
    left_out["blurred"] += len(found) - len(sharp)
    return sharp


def _write(
    slides: Sequence[Slide],
    samples: Sequence[Sample],
    levels: Sequence[Sequence[SampleLevel]],
    output: Path,
    *,
    left_out: Counter[str],
    progress: Callable[[int, int], None] | None,
) -> tuple[list[dict[str, Any]], list[float]]:
    """Images of all samples; their manifest entries, and the RGB mean of training at the finest."""
    entries: list[dict[str, Any]] = []
    total, pixels = np.zeros(3), 0
    for number, sample in enumerate(samples, start=1):
        slide, own = slides[sample.slide], levels[sample.slide]
        images = [slide.read(sample.region, level.downsample, registered=True) for level in own]
        if levels_agree(images):
            split = "test" if sample.test else "train"
            x, y = round(sample.region.x), round(sample.region.y)
            name = f"{slide.fingerprint[:8]}_{x}_{y}"
            files = {}
            for level, image in zip(own, images, strict=True):
                files[f"{level.magnification}x"] = f"{split}/{level.magnification}x/{name}.png"
                _save(output / files[f"{level.magnification}x"], image)
            entries.append(
                {"id": name, "slide": slide.fingerprint, "x": x, "y": y, "label": sample.label}
                | {"split": split, "files": files}
            )
            if not sample.test:
                total += images[0].sum((0, 1), dtype=np.float64)
                pixels += images[0].shape[0] * images[0].shape[1]
        else:
            left_out["disagreeing"] += 1
        if progress is not None:
            progress(number, len(samples))
    mean = total / max(pixels, 1) / 255
    return entries, [round(float(value), 6) for value in mean]


def _save(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Folder {folder} cannot be made: {error.strerror}.") from error
