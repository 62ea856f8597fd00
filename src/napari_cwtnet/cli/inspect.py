"""``inspect``: what the network did with a field, as a folder of maps and one page."""

from __future__ import annotations

import argparse
from typing import Any

from napari_cwtnet.cli.report import Progress, report
from napari_cwtnet.cli.slide import opened_slide
from napari_cwtnet.enhancement import Engine, EnhanceRequest
from napari_cwtnet.export.inspection_folder import PAGE, check_folder, save_inspection
from napari_cwtnet.geometry import Region, parse_numbers
from napari_cwtnet.inspection import Field, matches_sentence, survey
from napari_cwtnet.model import load_model


def run(arguments: argparse.Namespace) -> None:
    """Capture, write, report."""
    request = EnhanceRequest(
        Region.parse(arguments.region),
        arguments.downsample,
        arguments.reference,
        sharpness=arguments.sharpness,
    )
    place = None if arguments.probe is None else _place(arguments.probe)
    check_folder(arguments.output)
    engine = Engine(load_model(arguments.model), arguments.device, dtype=arguments.dtype)
    with opened_slide(arguments) as slide:
        found = survey(
            slide,
            engine,
            request,
            place=place,
            depth=arguments.depth,
            calibrate=arguments.trust,
            progress=Progress("pass"),
        )
    record = save_inspection(arguments.output, found)
    shown = {"output": str(arguments.output), "what": found.field.plan.sentence, **record}
    report(
        shown if arguments.json else _short(arguments, found.field, record), as_json=arguments.json
    )


def _short(arguments: argparse.Namespace, field: Field, record: dict[str, Any]) -> dict[str, Any]:
    names = (
        "badge",
        "psnr",
        "psnr_bicubic",
        "psnr_reference_bicubic",
        "consistency_mean",
        "tta_std_mean",
        "extrapolation",
    )
    return {
        "look at": str(arguments.output / PAGE),
        "files": len(record["files"]),
        **{name: record[name] for name in names},
        "matches": matches_sentence(field),
    }


def _place(text: str) -> tuple[float, float]:
    x, y = parse_numbers(text, float, "Probe", "X,Y", "level-0 pixels")
    return x, y
