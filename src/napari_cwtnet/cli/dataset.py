"""``dataset build``: matched samples of real levels, with a manifest."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_cwtnet.cli.report import Progress, report
from napari_cwtnet.errors import TrainingError
from napari_cwtnet.training.dataset import MANIFEST, build_dataset

_LABELS = (80, 40, 20, 10, 5)


def run(arguments: argparse.Namespace) -> None:
    """Build and report."""
    if arguments.count < 1:
        raise TrainingError(f"Count {arguments.count} is no number of samples; give 1 or more.")
    output: Path = arguments.output
    manifest = build_dataset(
        arguments.slides,
        output,
        coordinates=None if arguments.coordinates == "auto" else Path(arguments.coordinates),
        magnifications=_magnifications(arguments.levels),
        count=arguments.count,
        mpp=arguments.mpp,
        image=arguments.image,
        computed=arguments.allow_computed,
        seed=arguments.seed,
        progress=Progress("sample"),
    )
    report(
        {
            "manifest": str(output / MANIFEST),
            "train": manifest["train"],
            "test": manifest["test"],
            "rgb_mean": manifest["rgb_mean"],
            "left_out": manifest["left_out"],
        },
        as_json=arguments.json,
    )


def _magnifications(text: str) -> list[int]:
    try:
        labels = [int(part) for part in text.split(",")]
    except ValueError:
        labels = []
    if not labels or len(set(labels)) < len(labels) or not set(labels) <= set(_LABELS):
        raise TrainingError(
            f"Levels {text!r} are no magnifications; give some of 80, 40, 20, 10 and 5, such as "
            "40,20,10."
        )
    return labels
