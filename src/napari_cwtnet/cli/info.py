"""``info``: what a slide is, and what can be done with it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from napari_cwtnet.cli.report import report
from napari_cwtnet.cli.slide import opened_slide
from napari_cwtnet.cli.terminal import printable
from napari_cwtnet.enhancement import EnhanceRequest, make_plan
from napari_cwtnet.errors import ModelError
from napari_cwtnet.geometry import describe_resolution, magnification
from napari_cwtnet.model import list_models
from napari_cwtnet.model.weights import read_header
from napari_cwtnet.slides import Slide

_DOWNSAMPLES = (1.0, 2.0, 4.0, 8.0)
_AFTER = ("images", "levels", "enhance")
_HEADS = ("model", "downsample", "reads", "writes", "mode", "can be checked")


def run(arguments: argparse.Namespace) -> None:
    """Print the report."""
    with opened_slide(arguments) as slide:
        said = describe(slide)
        levels = list(level_lines(slide))
    if arguments.json:
        report(said, as_json=True)
        return
    report({n: v for n, v in said.items() if n not in _AFTER}, as_json=False)
    lines = ["levels", *(f"  {line}" for line in levels), *image_lines(said), *table(said)]
    print(*map(printable, lines), sep="\n")


def describe(slide: Slide) -> dict[str, Any]:
    """Everything that ``info`` says of a slide, as JSON values."""
    return {
        "path": str(slide.path),
        "format": slide.format,
        "computed": slide.computed,
        "size": list(slide.size),
        "images": [
            {"number": number, "what": what, "shown": number == slide.image}
            for number, what in enumerate(slide.images)
        ],
        "mpp": slide.mpp,
        "mpp_note": slide.mpp_note,
        "magnification": magnification(slide.mpp),
        "icc_profile": slide.icc_profile is not None,
        "icc_note": slide.icc_note,
        "notes": list(slide.notes),
        "levels": [
            {
                "downsample": level.downsample,
                "size": list(level.size),
                "degradation": level.degradation.as_dict(),
                "shift": list(level.shift),
            }
            for level in slide.levels
        ],
        "enhance": _possibilities(slide),
    }


def level_lines(slide: Slide) -> Iterator[str]:
    """Downsample and size of each stored level, and what its pixels went through."""
    for level in slide.levels:
        size = f"{level.size.width} × {level.size.height}"
        yield f"{level.downsample:<6.4g}{size:15}{level.history}"


def image_lines(said: dict[str, Any]) -> Iterator[str]:
    """The images of a file that has several, from what `describe` says."""
    if len(said["images"]) > 1:
        yield "images"
        for one in said["images"]:
            shown = ", shown here" if one["shown"] else ""
            yield f"  --image {one['number']}  {one['what']}{shown}"


def _possibilities(slide: Slide) -> list[dict[str, Any]]:
    possible = []
    for name, path in list_models().items():
        try:
            model = read_header(path)
        except ModelError:
            continue  # `models` and `doctor` tell about it; this is about the slide
        if model.purpose:
            continue
        for downsample in _DOWNSAMPLES:
            plan = make_plan(slide, model, EnhanceRequest(slide.bounds, downsample))
            possible.append(
                {
                    "model": name,
                    "scale": model.scale,
                    "downsample": downsample,
                    "mode": plan.mode,
                    "beyond_native": plan.beyond_native,
                    "checkable": plan.checkable,
                    "what": plan.sentence,
                }
            )
    return possible


def table(said: dict[str, Any]) -> Iterator[str]:
    """What each model would do, as lines for people, from what `describe` says.

    A model's last line is the finest input whose result is no finer than the slide; what is coarser
    is as that, and left out.
    """
    possible, mpp = said["enhance"], said["mpp"]
    if not possible:
        yield "enhance: there is no model; `napari-cwtnet models` shows where models belong"
        return
    rows = [_HEADS]
    for one in possible:
        downsample, scale = one["downsample"], one["scale"]
        if downsample > scale:
            continue
        read, written = (describe_resolution(mpp, d) for d in (downsample, downsample / scale))
        if one["checkable"]:
            check = "yes"
        else:
            why = "finer than the slide" if said["computed"] is None else "a computed slide"
            check = f"no, {why}"
        rows.append((one["model"], f"{downsample:g}", read, written, one["mode"], check))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    before = ""
    yield "enhance"
    for name, *others in rows:
        cells = ("" if name == before else name, *others)
        yield "  " + "  ".join(map(str.ljust, cells, widths)).rstrip()
        before = name
    if said["computed"] is not None:
        yield "  A computed slide is no truth to compare with."
        return
    yield "  yes: the slide holds the truth, and PSNR and SSIM are shown; coarser input likewise."
    yield "  finer than the slide: it has no such pixels to compare with."
