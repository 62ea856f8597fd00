"""``doctor``: what is installed here, and what is missing."""

from __future__ import annotations

import argparse
import platform
from importlib import metadata
from typing import Any

import openslide
import torch

from napari_cwtnet import __version__
from napari_cwtnet.cli.report import report
from napari_cwtnet.enhancement import inference_devices
from napari_cwtnet.enhancement.openvino_forward import openvino_version
from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.model import list_models, load_model

_PACKAGES = (
    "numpy",
    "tifffile",
    "imagecodecs",
    "zarr",
    "openslide-python",
    "napari",
    "npe2",
    "qtpy",
)


def run(arguments: argparse.Namespace) -> None:
    """Print the findings."""
    report(examine(), as_json=arguments.json)


def examine() -> dict[str, Any]:
    """Versions, devices, models and whether a window can be opened, as JSON values."""
    return {
        "napari-cwtnet": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "torch": torch.__version__,
        "openvino": openvino_version() or "missing; it comes with napari-cwtnet[openvino]",
        "openslide": openslide.__library_version__,
        **{name: _version(name) for name in _PACKAGES},
        "devices": [f"{name}: {words}" for name, words in inference_devices().items()],
        "models": [_state(name) for name in list_models()],
        "window": _window(),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing; it comes with pip install 'napari-cwtnet[gui]'"


def _state(name: str) -> str:
    try:
        load_model(name)
    except CwtnetError as error:
        return f"{name}: {error}"
    return f"{name}: good"


def _window() -> str:
    from napari_cwtnet.plugin.app import napari_available

    return napari_available() or "napari can open"
