"""``evaluate``: a model against bicubic on a folder of images."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from napari_cwtnet.cli.report import Progress, report
from napari_cwtnet.enhancement import Quality
from napari_cwtnet.evaluation import chosen_images, evaluate_images
from napari_cwtnet.evaluation.nuclei import METHOD, NucleiAgreement
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
        nuclei_mpp=arguments.nuclei,
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
            **_of_nuclei(evaluation.all_nuclei(), arguments.nuclei),
            "per_image": [
                {"name": name, **figures, **_nuclei(evaluation.nuclei.get(name, {}))}
                for name, figures in evaluation.images.items()
            ],
        },
        as_json=arguments.json,
    )


def _of_nuclei(agreements: Mapping[str, NucleiAgreement], mpp: float | None) -> dict[str, Any]:
    if not agreements:
        return {}
    return {"nuclei_method": f"{METHOD}; at {mpp:g} µm per pixel", **_nuclei(agreements)}


def _nuclei(agreements: Mapping[str, NucleiAgreement]) -> dict[str, Any]:
    """A row for the truth and for each picture."""
    if not agreements:
        return {}
    rows: list[dict[str, Any]] = [
        {"picture": "truth", "found": next(iter(agreements.values())).truth}
    ]
    rows += [{"picture": name, **one.as_dict()} for name, one in agreements.items()]
    return {"nuclei": rows}
