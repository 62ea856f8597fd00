"""What is taken along from a day: few files, none of them large."""

from __future__ import annotations

import csv
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from gpu_day.pack import MIB
from gpu_day.stages import SCALES, Day
from napari_cwtnet.errors import OutputError
from napari_cwtnet.model import load_model, save_weights

MOST_FILES = 8
MOST_BYTES = 16 * MIB


def take(day: Day, record: dict[str, Any], target: Path) -> list[Path]:
    """Write weights (float16), ``day.json``, ``day.png``, and the output of tests and bench.

    Raises
    ------
    OutputError
        If that makes too many files, or too large a one.
    """
    target.mkdir(parents=True, exist_ok=True)
    for scale in SCALES:
        if day.weights(scale).exists():
            model = load_model(day.weights(scale))
            known = dict(model.provenance) | {"packed": record.get("packed", {})}
            save_weights(target / day.weights(scale).name, model.network, known, torch.float16)
    (target / "day.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    for name in ("tests.txt", "bench.json"):
        if (day.output / name).exists():
            shutil.copyfile(day.output / name, target / name)
    if importlib.util.find_spec("matplotlib") is not None:
        _draw(day, target / "day.png")
    files = sorted(target.iterdir())
    large = [path.name for path in files if path.stat().st_size > MOST_BYTES]
    if large or len(files) > MOST_FILES:
        raise OutputError(
            f"{target} holds {len(files)} files, and {', '.join(large) or 'none'} is larger than "
            f"{MOST_BYTES // MIB} MiB; at most {MOST_FILES} can be taken along."
        )
    return files


def _draw(day: Day, path: Path) -> None:
    """Gain over bicubic against time, and the preview, a row a run."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        len(SCALES), 2, figsize=(14, 11), width_ratios=(1, 2), layout="constrained"
    )
    for (curve, picture), scale in zip(axes, SCALES, strict=True):
        picture.axis("off")
        curve.set_title(f"×{scale}")
        log = day.folder(scale) / "log.csv"
        if not log.exists():
            continue
        with log.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        for label, name, base in (
            ("single-image", "psnr", "bicubic"),
            ("cross-scale", "with_reference", "reference_bicubic"),
        ):
            if rows and rows[-1][name]:
                gains = [float(row[name]) - float(row[base]) for row in rows]
                curve.plot([float(row["seconds"]) for row in rows], gains, "o-", label=label)
        curve.set(xlabel="seconds of training", ylabel="gain over bicubic, dB")
        curve.legend()
        if (day.folder(scale) / "preview.png").exists():
            with Image.open(day.folder(scale) / "preview.png") as preview:
                picture.imshow(preview.convert("RGB"))
            picture.set_title("before · now · truth")
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
