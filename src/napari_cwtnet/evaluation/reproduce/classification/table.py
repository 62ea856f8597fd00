"""Table VI: what a classifier, trained on originals, makes of enhanced patches."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.evaluation.reproduce.classification.judge import probabilities, trained_judge
from napari_cwtnet.evaluation.reproduce.classification.patches import (
    Patches,
    read_patches,
    split_patches,
)
from napari_cwtnet.evaluation.reproduce.classification.scores import Scores, scores_of
from napari_cwtnet.evaluation.reproduce.driver import Driver, Plan
from napari_cwtnet.evaluation.reproduce.experiment import Row
from napari_cwtnet.evaluation.reproduce.paper import TABLE_6
from napari_cwtnet.evaluation.reproduce.runs import WEIGHTS, Say, train
from napari_cwtnet.evaluation.reproduce.testing import image_of
from napari_cwtnet.files import written_whole
from napari_cwtnet.model.weights import read_weights
from napari_cwtnet.training.fields import Field, shrink

_SCALE = 2
ORIGINAL, SHRUNK = "original", "bicubic, shrunk"
TITLE = "Table VI: classification of enhanced images"


@dataclass(frozen=True, slots=True)
class Judged:
    """One kind of images and what the classifier of one seed makes of them."""

    name: str
    seed: int
    scores: Scores


def judge_methods(
    plan: Plan, patches: Path, epochs: int, cancel: CancelToken, say: Say
) -> list[Judged]:
    """Train what of Table I at ×2 is not trained, and judge what it makes of test patches.

    Writes ``table6.md``, ``.csv`` and ``.json`` after each row.

    Raises
    ------
    CancelledError
        If ``cancel`` came first.
    CwtnetError
        If data, patches or folder cannot be used.
    """
    plan.output.mkdir(parents=True, exist_ok=True)
    driver = Driver(plan, cancel, say)
    rows = plan.table.rows(_SCALE, plan.degradation)
    first = next(row for row in rows if row.changes is not None)
    recipe = driver.planned(first, _SCALE, 0).recipe
    training, testing = split_patches(read_patches(patches), recipe, plan.data)
    about = {
        "Patches to train the classifier": len(training.labels),
        "to test": f"{len(testing.labels)} of {len(set(testing.sources.tolist()))} images",
        "Epochs": epochs,
        "Budget of each method": str(plan.budget),
    }
    found: list[Judged] = []
    for seed in range(plan.seeds):
        name = f"classifier-{_hash(training)}-{epochs}-{seed}.safetensors"
        judge = trained_judge(training, epochs, seed, plan.output / name, cancel=cancel, say=say)
        for row in (None, *rows):
            for label, images in _images(driver, row, testing, seed, cancel=cancel, say=say):
                scores = scores_of(probabilities(judge, images), testing.labels, testing.sources)
                found.append(Judged(label, seed, scores))
            _write(found, about, plan.output)
    return found


def _images(
    driver: Driver, row: Row | None, testing: Patches, seed: int, *, cancel: CancelToken, say: Say
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Names and what is classified: originals and shrunk ones without a row, else enhanced."""
    fields = [
        Field(str(number), shrink(image, _SCALE), image, image)
        for number, image in enumerate(testing.images)
    ]
    if row is None:
        yield ORIGINAL, testing.images
        yield SHRUNK, np.stack([field.lr for field in fields])
        return
    network = None
    plan = driver.plan
    if row.changes is not None:
        run = driver.planned(row, _SCALE, seed)
        train(run, plan.data, plan.output, plan.budget, cancel=cancel, say=say)
        network = read_weights(plan.output / "runs" / run.folder / WEIGHTS)[0]
    say(f"classifying {row.name}")
    yield row.name, np.stack([image_of(row, network, field, _SCALE) for field in fields])


def _hash(patches: Patches) -> str:
    return hashlib.sha256(patches.images.tobytes() + patches.labels.tobytes()).hexdigest()[:12]


def _write(found: list[Judged], about: dict[str, Any], output: Path) -> None:
    names = list(dict.fromkeys(one.name for one in found))
    grouped = {name: [one.scores for one in found if one.name == name] for name in names}
    texts = {
        "md": "\n".join(_markdown(grouped, about)) + "\n",
        "csv": _as_csv(found),
        "json": json.dumps(
            {"table": "table6", "title": TITLE, "about": about}
            | {"rows": [asdict(one) for one in found]},
            indent=1,
        ),
    }
    for suffix, text in texts.items():
        with written_whole(output / f"table6.{suffix}") as partial:
            partial.write_text(text, encoding="utf-8")


def _markdown(grouped: dict[str, list[Scores]], about: dict[str, Any]) -> Iterator[str]:
    yield f"## {TITLE}\n"
    yield (
        "ResNet-50 from scratch, trained on original patches, asked about patches that were shrunk "
        "by two and enhanced by each network of Table I. Test patches are of images that neither "
        "the classifier nor any network was trained on. Means over seeds; the interval is that of "
        "the first one, by drawing source images anew.\n"
    )
    yield " ".join(f"{name}: {value}." for name, value in about.items())
    yield "\n| images | accuracy, % (95 %) | balanced, % | AUC | paper: MLCamSR, PCam | seeds |"
    yield "|---|---|---|---|---|---|"
    for name, scores in grouped.items():
        paper = " / ".join(f"{value:.2f}" for value in TABLE_6.get(name, ()))
        accuracy, balanced, auc = (
            statistics.mean(getattr(one, what) for one in scores)
            for what in ("accuracy", "balanced", "auc")
        )
        within = f"{100 * scores[0].low:.0f} to {100 * scores[0].high:.0f}"
        yield (
            f"| {name} | {100 * accuracy:.1f} ({within}) | {100 * balanced:.1f} | {auc:.3f} "
            f"| {paper} | {len(scores)} |"
        )


def _as_csv(found: list[Judged]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["images", "seed", "accuracy", "low", "high", "balanced accuracy", "auc"])
    writer.writerows([one.name, one.seed, *asdict(one.scores).values()] for one in found)
    return text.getvalue()
