"""``check``: hide the finest pixels of a slide, compute them again, and measure."""

from __future__ import annotations

import argparse
from typing import Any

from napari_cwtnet.cli.many_slides import run_for_slides
from napari_cwtnet.cli.report import Progress
from napari_cwtnet.cli.slide import opened_slide
from napari_cwtnet.enhancement.check import check
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import load_model


def run(arguments: argparse.Namespace) -> int:
    """Measure and report."""
    if arguments.slides is None and arguments.output is not None:
        raise RequestError("--output is the folder of the table of --slides; leave it out.")
    return run_for_slides(arguments, _check_one)


def _check_one(arguments: argparse.Namespace) -> dict[str, Any]:
    regions = [Region.parse(text) for text in arguments.region]
    model = load_model(arguments.model)
    with opened_slide(arguments) as slide:
        found = check(
            slide,
            model,
            regions,
            arguments.downsample,
            reference=arguments.reference,
            sharpness=arguments.sharpness,
            device=arguments.device,
            dtype=arguments.dtype,
            progress=Progress("region"),
        )
    warning = found.quality.warning
    said = {
        "what": found.sentence,
        **found.as_dict(),
        "told": model.takes_degradation,
        **({"warning": warning} if warning else {}),
    }
    if not arguments.json:
        del said["made_by"]  # the sentence says it
        said["model knows"] = "how its input was made" if said.pop("told") else "the pixels alone"
        said |= {"degradation": str(found.degradation), "regions": len(found.regions)}
        reference = found.reference_degradation
        said["reference_degradation"] = None if reference is None else str(reference)
    return said
