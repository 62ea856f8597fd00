"""``models``: what can be chosen."""

from __future__ import annotations

import argparse
from typing import Any

from napari_cwtnet.cli.report import report
from napari_cwtnet.errors import ModelError, RequestError
from napari_cwtnet.export.bioimageio_package import export_bioimageio
from napari_cwtnet.export.onnx_model import export_onnx
from napari_cwtnet.model import list_models, load_model, user_model_folder
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation

_HEADS = ("name", "scale", "modes", "parameters", "purpose", "path", "problem")
"""What people see of a model; its SHA-256 is in the JSON."""


def run(arguments: argparse.Namespace) -> None:
    """Print the list, or export one model."""
    if arguments.action == "export":
        report(export(arguments), as_json=arguments.json)
        return
    found = [describe(name) for name in list_models()]
    if not arguments.json:
        found = [{head: one.get(head) for head in _HEADS} for one in found]
    report({"folder": str(user_model_folder()), "models": found}, as_json=arguments.json)


def export(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write a model for other programs; what was written, as JSON values."""
    wanted, spec = arguments.output, arguments.degradation
    known = {"unknown": UNKNOWN, "input": None}.get(spec, ...)
    degradation = Degradation.parse(spec) if known is ... else known
    model = load_model(arguments.model)
    if arguments.format == "onnx":
        export_onnx(
            wanted, model, reference=arguments.reference == "next", degradation=degradation,
            precision=arguments.precision, tile=arguments.tile,
        )  # fmt: skip
    elif degradation is None or arguments.reference == "next" or arguments.precision != "float32":
        raise RequestError(
            "A bioimage.io package has one input and float32 weights; leave out --reference, "
            "--precision and --degradation input, or export as onnx."
        )
    else:
        export_bioimageio(wanted, model, degradation=degradation, tile=arguments.tile)
    return {"model": model.name, "format": arguments.format, "output": str(wanted)}


def describe(name: str) -> dict[str, Any]:
    """A model in one line, as JSON values; a damaged one with its ``problem``."""
    try:
        model = load_model(name)
    except ModelError as error:
        return {"name": name, "problem": str(error)}
    modes = ["single-image"] + (["cross-scale"] if model.takes_reference else [])
    return {
        "name": model.name,
        "scale": model.scale,
        "modes": modes,
        **({"purpose": f"{model.purpose}, not for use"} if model.purpose else {}),
        "parameters": model.network.parameter_count(),
        "sha256": model.sha256,
        "path": str(model.path),
    }
