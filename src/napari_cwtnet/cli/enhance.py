"""``enhance``: a region in, an image file out."""

from __future__ import annotations

import argparse
from typing import Any

from napari_cwtnet.cli.report import Progress, report
from napari_cwtnet.enhancement import Result, enhance
from napari_cwtnet.errors import OutputError
from napari_cwtnet.export import check_output, save_image
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import load_model
from napari_cwtnet.slides import open_slide


def run(arguments: argparse.Namespace) -> None:
    """Enhance, write, report."""
    region = Region.parse(arguments.region)
    check_output(arguments.output)
    if arguments.output.exists() and arguments.output.samefile(arguments.slide):
        raise OutputError(f"Output {arguments.output} is the slide itself; choose another name.")
    model = load_model(arguments.model)
    with open_slide(arguments.slide, mpp=arguments.mpp, icc=not arguments.no_icc) as slide:
        result = enhance(
            slide,
            region,
            arguments.downsample,
            model=model,
            reference=arguments.reference,
            device=arguments.device,
            progress=Progress("tile"),
        )
    save_image(arguments.output, result.image, result.provenance, result.mpp)
    report({"output": str(arguments.output)} | summary(result), as_json=arguments.json)


def summary(result: Result) -> dict[str, Any]:
    """The figures of one enhancement, as JSON values; downsample and mpp are the output's."""
    plan = result.plan
    return {
        "what": plan.sentence,
        "mode": plan.mode,
        "region": [plan.region.x, plan.region.y, plan.region.width, plan.region.height],
        "output_size": list(plan.output_size),
        "mpp": plan.output_mpp,
        "downsample": plan.output_downsample,
        "input_downsample": plan.downsample,
        "beyond_native": plan.beyond_native,
        "tiles": len(plan.tiles),
        "seconds": round(result.seconds, 3),
        **result.metrics.as_dict(),
        "model": plan.model_name,
        "badge": plan.badge,
    }
