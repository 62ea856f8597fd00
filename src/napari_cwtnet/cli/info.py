"""``info``: what a slide is, and what can be done with it."""

from __future__ import annotations

import argparse
from typing import Any

from napari_cwtnet.cli.report import report
from napari_cwtnet.enhancement import EnhanceRequest, make_plan
from napari_cwtnet.errors import ModelError
from napari_cwtnet.geometry import magnification
from napari_cwtnet.model import list_models
from napari_cwtnet.model.header import read_header
from napari_cwtnet.slides import Slide, open_slide

_DOWNSAMPLES = (1.0, 2.0, 4.0)


def run(arguments: argparse.Namespace) -> None:
    """Print the report."""
    with open_slide(arguments.slide, mpp=arguments.mpp) as slide:
        report(describe(slide), as_json=arguments.json)


def describe(slide: Slide) -> dict[str, Any]:
    """Everything that ``info`` says of a slide, as JSON values."""
    return {
        "path": str(slide.path),
        "format": slide.format,
        "computed": slide.computed,
        "size": list(slide.size),
        "mpp": slide.mpp,
        "mpp_note": slide.mpp_note,
        "magnification": magnification(slide.mpp),
        "icc_profile": slide.icc_profile is not None,
        "levels": [
            {"downsample": level.downsample, "size": list(level.size)} for level in slide.levels
        ],
        "enhance": _possibilities(slide),
    }


def _possibilities(slide: Slide) -> list[dict[str, Any]]:
    possible = []
    for name, path in list_models().items():
        try:
            model = read_header(path)
        except ModelError:
            continue  # `models` and `doctor` tell about it; this is about the slide
        for downsample in _DOWNSAMPLES:
            plan = make_plan(slide, model, EnhanceRequest(slide.bounds, downsample))
            possible.append(
                {
                    "model": name,
                    "downsample": downsample,
                    "mode": plan.mode,
                    "beyond_native": plan.beyond_native,
                    "what": plan.sentence,
                }
            )
    return possible
