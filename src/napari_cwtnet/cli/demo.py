"""``demo``: Check and Enhance on the sample slide: where it holds the truth, and beyond."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.cli.enhance import summary
from napari_cwtnet.cli.report import Progress, report
from napari_cwtnet.enhancement import Result, enhance, enlarged, truth
from napari_cwtnet.enhancement.check import what_is_checked
from napari_cwtnet.errors import OutputError
from napari_cwtnet.export import labelled, magnified_centre, save_image, side_by_side
from napari_cwtnet.files import check_writable, written_whole
from napari_cwtnet.geometry import Region, describe_resolution
from napari_cwtnet.model import Model, load_model
from napari_cwtnet.slides import Slide, open_slide
from napari_cwtnet.slides.check_levels import check_levels
from napari_cwtnet.slides.sample import sample_slide

MODEL = "cwtnet-lite-x2"
CHECKED = Region(950, 900, 480, 480)
BEYOND = Region(1040, 960, 240, 240)
_SHOWN = (220, 2)


def run(arguments: argparse.Namespace) -> int:
    """Fetch, enhance twice, write, report, and open napari where there is a screen."""
    folder: Path = arguments.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Folder {folder} cannot be made: {error.strerror}.") from error
    check_writable(folder / "report.json")
    model = load_model(MODEL)
    path = sample_slide()
    with open_slide(path) as slide:
        summaries = {
            "checkable": _checked(folder, slide, model),
            "beyond": _beyond(folder, slide, model),
        }
    with written_whole(folder / "report.json") as partial:
        partial.write_text(json.dumps(summaries, indent=2, ensure_ascii=False), encoding="utf-8")
    if arguments.json:
        report({"folder": str(folder)} | summaries, as_json=True)
    else:
        report(_sentences(folder, summaries), as_json=False)
    return 0 if arguments.no_window else _open_window(path)


def _checked(folder: Path, slide: Slide, model: Model) -> dict[str, Any]:
    """Hide the finest pixels of a field, compute them again, and measure."""
    levels = check_levels(slide, CHECKED, float(model.scale), model.scale)
    with levels.slide as pyramid:
        result = enhance(
            pyramid, pyramid.bounds, model.scale, model=model, progress=Progress("tile")
        )
        covered = levels.region
        here = {
            "slide_fingerprint": slide.fingerprint,
            "region": [covered.x, covered.y, covered.width, covered.height],
        }
        _save(folder / "checkable", pyramid, result, result.provenance | here)
        made = f"{pyramid.degradation(model.scale)}"
    step = what_is_checked(result.mpp, result.plan.downsample, model.scale)
    return summary(result) | here | {"what": f"{step} (level made: {made})", "degradation": made}


def _beyond(folder: Path, slide: Slide, model: Model) -> dict[str, Any]:
    """Compute a field finer than the slide."""
    result = enhance(slide, BEYOND, 1.0, model=model, progress=Progress("tile"))
    _save(folder / "beyond", slide, result, result.provenance)
    return summary(result)


def _save(path: Path, slide: Slide, result: Result, provenance: Mapping[str, Any]) -> None:
    save_image(path.with_suffix(".png"), result.image, provenance, result.mpp)
    sheet = path.with_name(f"{path.name}-side-by-side.png")
    save_image(sheet, _side_by_side(slide, result), provenance, None)


def _side_by_side(slide: Slide, result: Result) -> NDArray[np.uint8]:
    """The middle of the field, magnified; the figures are those of the whole field."""
    plan, quality = result.plan, result.metrics
    lr = describe_resolution(plan.native_mpp, plan.downsample)
    output = describe_resolution(plan.native_mpp, plan.output_downsample)
    columns = [
        (
            f"LR {lr}, bicubic ×{plan.scale}",
            _figures(quality.psnr_bicubic, quality.ssim_bicubic),
            enlarged(slide, plan, reference=False),
        ),
        (
            f"COMPUTED {output}, {plan.model_name}",
            _figures(quality.psnr, quality.ssim),
            result.image,
        ),
    ]
    real = truth(slide, plan)
    if real is not None:
        columns.append((f"Truth {output}", "the slide's own pixels", real))
    return side_by_side(
        [
            labelled(
                magnified_centre(image, *_SHOWN),
                [title, figures],
                computed=image is result.image,
            )
            for title, figures, image in columns
        ]
    )


def _figures(psnr: float | None, ssim: float | None) -> str:
    if psnr is None or ssim is None:
        return "no truth at this resolution"
    return f"PSNR {psnr:.2f} dB, SSIM {ssim:.3f}"


def _sentences(folder: Path, summaries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    known = summaries["checkable"]
    return {
        "check": known["what"],
        "model": _figures(known["psnr"], known["ssim"]),
        "bicubic": _figures(known["psnr_bicubic"], known["ssim_bicubic"]),
        "finer than the slide": summaries["beyond"]["what"],
        "look at": [str(p) for p in sorted(folder.glob("*side-by-side.png"))],
        "report": str(folder / "report.json"),
    }


def _open_window(path: Path) -> int:
    from napari_cwtnet.plugin.app import napari_available, view

    reason = napari_available()
    if reason is not None:
        print(f"No window: {reason}")
        return 0
    return view(path)
