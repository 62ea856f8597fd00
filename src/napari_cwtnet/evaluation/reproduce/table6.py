"""Table VI: classification of enhanced patches by a classifier trained on originals."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cwtnet import __version__
from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import choose_device
from napari_cwtnet.evaluation.bench import machine
from napari_cwtnet.evaluation.reproduce.classifier import (
    Patches,
    probabilities,
    read_patches,
    split_patches,
    trained_judge,
)
from napari_cwtnet.evaluation.reproduce.driver import Driver, TablePlan
from napari_cwtnet.evaluation.reproduce.experiment import SCANNER, TABLE_6, Degradation, Row
from napari_cwtnet.evaluation.reproduce.report import make_folder, write_files
from napari_cwtnet.evaluation.reproduce.results import image_of, interval
from napari_cwtnet.evaluation.reproduce.runs import WEIGHTS, Place, Say, TableProgress
from napari_cwtnet.model.weights import read_weights
from napari_cwtnet.training.fields import Field, degraded_as, shrink


@dataclass(frozen=True, slots=True)
class Scores:
    """Shares of 1."""

    accuracy: float
    low: float | None
    high: float | None
    """95 % interval of the accuracy, over source images; None for too few."""
    balanced: float
    """Mean of the accuracies in both classes."""
    auc: float


def scores_of(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], sources: NDArray[np.str_]
) -> Scores:
    """Scores of the probabilities of class 1; both classes must be present."""
    right = is_right(probabilities, labels)
    low, high = interval(right.tolist(), sources.tolist()) or (None, None)
    balanced = float(np.mean([right[labels == label].mean() for label in (0, 1)]))
    return Scores(float(right.mean()), low, high, balanced, area_under_curve(probabilities, labels))


def is_right(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """1 where the more probable class is the true one, else 0."""
    right: NDArray[np.float64] = ((probabilities > 0.5) == (labels == 1)).astype(np.float64)
    return right


def area_under_curve(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Probability that a patch of class 1 scores higher than one of class 0.

    >>> area_under_curve(np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 0, 1, 1]))
    0.875
    """
    ones, zeros = probabilities[labels == 1], probabilities[labels == 0]
    higher = (ones[:, None] > zeros[None, :]).mean()
    equal = (ones[:, None] == zeros[None, :]).mean()
    return float(higher + 0.5 * equal)


_SCALE = 2
ORIGINAL, SHRUNK, BICUBIC = "original", "bicubic, shrunk", "bicubic"
_SCANNED = "shrunk, as a scanner makes it"
_NUMBER = "Table VI"
TITLE = f"{_NUMBER}: classification of enhanced images"


@dataclass(frozen=True, slots=True)
class Judged:
    """Scores of the classifier of one seed on one kind of image."""

    name: str
    seed: int
    scores: Scores
    right: tuple[float, ...]
    """1 for every test patch classified correctly, else 0."""


def judge_methods(
    plan: TablePlan, patches: Path, epochs: int, cancel: CancelToken, say: Say
) -> list[Judged]:
    """Train missing rows of Table I at ×2, and classify the test patches that they enhance.

    Writes ``table6.md``, ``.csv`` and ``.json`` after each row.

    Raises
    ------
    CancelledError
        If ``cancel`` was called.
    CwtnetError
        If data, patches or folder cannot be used.
    """
    read = read_patches(patches)
    driver = Driver(plan, cancel, say)
    rows = plan.rows(_SCALE)
    first = next(row for row in rows if row.changes is not None)
    recipe = driver.planned(first, _SCALE, 0).recipe
    training, testing = split_patches(read, recipe, plan.data)
    make_folder(plan.output)
    about = _about(plan, epochs, training, testing) | {
        "Data": driver.planned(first, _SCALE, 0).data
    }
    found: list[Judged] = []
    progress = driver.progress(
        _NUMBER, [Place(row, _SCALE, seed) for seed in range(plan.seeds) for row in rows], say
    )
    for seed in range(plan.seeds):
        dtype = plan.table.base["dtype"]
        name = f"classifier-{_hash(training)}-{epochs}-{dtype}-{seed}.safetensors"
        say_seed = partial(_say_of_seed, say, seed)
        judge = trained_judge(
            training,
            epochs,
            seed,
            plan.output / name,
            in_bfloat16=dtype == "bfloat16",
            cancel=cancel,
            say=say_seed,
        )
        for number, row in enumerate((None, *rows), start=seed * len(rows) - 1):
            if row is not None:
                progress.begin(number)
            for label, images in _images(driver, row, testing, cancel=cancel, progress=progress):
                found_probabilities = probabilities(judge, images)
                scores = scores_of(found_probabilities, testing.labels, testing.sources)
                right = tuple(is_right(found_probabilities, testing.labels).tolist())
                found.append(Judged(label, seed, scores, right))
            _write(found, about, testing.sources.tolist(), plan.output)
    return found


def _say_of_seed(say: Say, seed: int, words: str) -> None:
    say(f"{_NUMBER}, seed {seed}: {words}")


def _about(plan: TablePlan, epochs: int, training: Patches, testing: Patches) -> dict[str, Any]:
    share = max(np.mean(testing.labels == label) for label in (0, 1))
    at = machine(choose_device("cpu"))
    return {
        "To train the classifier": _counted(training),
        "To test": _counted(testing),
        "Accuracy of always saying the commoner class": f"{100 * share:.1f} %",
        "Epochs": epochs,
        "Budget of each method": str(plan.budget),
        "Degradation": plan.degradation,
        "Precision of training": plan.table.base["dtype"],
        "Machine": f"{at['name']}, {at['torch_threads']} of {at['cores']} cores",
        "Software": f"napari-cwtnet {__version__}, torch {torch.__version__}",
    }


def _counted(patches: Patches) -> str:
    return f"{len(patches.labels)} patches of {len(set(patches.sources.tolist()))} images"


def _images(
    driver: Driver,
    row: Row | None,
    testing: Patches,
    *,
    cancel: CancelToken,
    progress: TableProgress,
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Names and images to classify: originals and shrunk ones without a row, else enhanced."""
    fields = [field_of(image, driver.plan.degradation) for image in testing.images]
    if row is None:
        scanned = driver.plan.degradation == "scanner"
        yield ORIGINAL, testing.images
        yield _SCANNED if scanned else SHRUNK, np.stack([field.lr for field in fields])
        return
    cancel.raise_if_cancelled()
    network = None
    if row.changes is not None:
        folder, _ = driver.trained(progress)
        network = read_weights(folder / WEIGHTS)[0]
    progress("classifying")
    yield row.name, np.stack([image_of(row, network, field, _SCALE) for field in fields])


def field_of(patch: NDArray[np.uint8], degradation: Degradation) -> Field:
    """A patch as truth, with the LR that the networks enhance."""
    field = Field("patch", shrink(patch, _SCALE), patch, patch)
    return degraded_as(field, SCANNER, _SCALE) if degradation == "scanner" else field


def _hash(patches: Patches) -> str:
    return hashlib.sha256(patches.images.tobytes() + patches.labels.tobytes()).hexdigest()[:12]


def _write(found: list[Judged], about: dict[str, Any], sources: list[str], output: Path) -> None:
    names = list(dict.fromkeys(one.name for one in found))
    grouped = {name: [one for one in found if one.name == name] for name in names}
    texts = {
        "md": "\n".join(_markdown(grouped, about, sources)) + "\n",
        "csv": _as_csv(found),
        "json": json.dumps(
            {"table": "table6", "title": TITLE, "about": about}
            | {"sources": sources, "rows": [asdict(one) for one in found]},
            indent=1,
        ),
    }
    write_files(output, "table6", texts)


def _markdown(
    grouped: dict[str, list[Judged]], about: dict[str, Any], sources: list[str]
) -> Iterator[str]:
    yield f"## {TITLE}\n"
    yield (
        "ResNet-50 from scratch, trained on original patches, classifies patches that were shrunk "
        "by two and enhanced by each network of Table I. The patches are cut from images of the "
        "networks' own data; test patches are from images that neither the classifier nor any "
        "network was trained on, though some may show the same slide as others. The classifier's "
        "training patches are from images that the networks were trained on, too. Shrunk patches "
        "are classified at half the size. The 95 % intervals resample source images, which makes "
        "them too narrow with so few images; differences to bicubic are taken patch by patch.\n"
    )
    yield " ".join(f"{name}: {value}." for name, value in about.items())
    heads = ("images", "accuracy, % (95 %)", "above bicubic, points (95 %)", "balanced, %", "AUC")
    yield f"\n| {' | '.join(heads)} | paper: MLCamSR, PCam | seeds |"
    yield "|" + "---|" * (len(heads) + 2)
    bicubic = _mean_right(grouped[BICUBIC]) if BICUBIC in grouped else None
    for name, judged in grouped.items():
        own = _mean_right(judged)
        cells = [name, _within(own, sources, "")]
        cells += [
            "" if bicubic is None or name == BICUBIC else _within(own - bicubic, sources, "+")
        ]
        cells += [f"{100 * statistics.mean(one.scores.balanced for one in judged):.1f}"]
        cells += [f"{statistics.mean(one.scores.auc for one in judged):.3f}"]
        paper = () if about["Degradation"] == "scanner" else TABLE_6.get(name, ())
        cells += [" / ".join(f"{value:.2f}" for value in paper), str(len(judged))]
        yield f"| {' | '.join(cells)} |"


def _mean_right(judged: list[Judged]) -> NDArray[np.float64]:
    """Of every patch, over seeds."""
    mean: NDArray[np.float64] = np.mean([one.right for one in judged], axis=0)
    return mean


def _within(values: NDArray[np.float64], sources: list[str], sign: str) -> str:
    """Mean and interval in per cent."""
    within = interval(values.tolist(), sources)
    sure = (
        "too few images" if within is None else " to ".join(f"{100 * v:{sign}.0f}" for v in within)
    )
    return f"{100 * values.mean():{sign}.1f} ({sure})"


def _as_csv(found: list[Judged]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["images", "seed", "accuracy", "low", "high", "balanced accuracy", "auc"])
    writer.writerows([one.name, one.seed, *asdict(one.scores).values()] for one in found)
    return text.getvalue()
