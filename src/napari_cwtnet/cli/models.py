"""``models``: what can be chosen."""

from __future__ import annotations

import argparse
from typing import Any

from napari_cwtnet.cli.report import report
from napari_cwtnet.errors import ModelError
from napari_cwtnet.model import list_models, load_model, user_model_folder


def run(arguments: argparse.Namespace) -> None:
    """Print the list."""
    found = [describe(name) for name in list_models()]
    report({"folder": str(user_model_folder()), "models": found}, as_json=arguments.json)


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
        "parameters": model.network.parameter_count(),
        "sha256": model.sha256,
        "path": str(model.path),
    }
