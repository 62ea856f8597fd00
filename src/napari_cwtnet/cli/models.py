"""``models``: what can be chosen."""

from __future__ import annotations

import argparse
from typing import Any

from napari_cwtnet.cli.report import report
from napari_cwtnet.model import Model, list_models, load_model, user_model_folder


def run(arguments: argparse.Namespace) -> None:
    """Print the list."""
    found = [describe(load_model(name)) for name in list_models()]
    report({"folder": str(user_model_folder()), "models": found}, as_json=arguments.json)


def describe(model: Model) -> dict[str, Any]:
    """A model in one line, as JSON values."""
    modes = ["single-image"] + (["cross-scale"] if model.takes_reference else [])
    return {
        "name": model.name,
        "scale": model.scale,
        "modes": modes,
        "parameters": model.network.parameter_count(),
        "sha256": model.sha256,
        "path": str(model.path),
    }
