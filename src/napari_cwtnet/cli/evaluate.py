"""``evaluate``: a model against bicubic on a folder of images."""

from __future__ import annotations

import argparse

from napari_cwtnet.cli.report import Progress, report
from napari_cwtnet.enhancement import Quality
from napari_cwtnet.evaluation import chosen_images, evaluate_images
from napari_cwtnet.model import load_model


def run(arguments: argparse.Namespace) -> None:
    """Measure and report."""
    files = chosen_images(arguments.images, arguments.pattern)
    model = load_model(arguments.model)
    evaluation = evaluate_images(
        files,
        model,
        arguments.reference,
        degradation=arguments.degradation,
        told=arguments.told,
        device=arguments.device,
        progress=Progress("image"),
    )
    means = evaluation.means()
    warning = Quality(**means).warning
    report(
        {
            "model": evaluation.model,
            "scale": evaluation.scale,
            "mode": evaluation.mode,
            "degradation": evaluation.degradation,
            "told": evaluation.told if model.takes_degradation else "nothing",
            "images": len(files),
            **means,
            **({"warning": warning} if warning else {}),
            "per_image": [{"name": n} | f for n, f in evaluation.images.items()],
        },
        as_json=arguments.json,
    )
