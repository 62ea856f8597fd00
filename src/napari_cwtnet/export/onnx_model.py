"""A model as ONNX, for programs that have no torch: one graph a mode, described in its metadata."""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import torch

from napari_cwtnet.enhancement.plan import RESEARCH_USE
from napari_cwtnet.errors import RequestError
from napari_cwtnet.files import check_place, written_whole
from napari_cwtnet.model import Model
from napari_cwtnet.model.portable import PortableModel, Precision
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation

OPSET = 18
"""Read by the onnxruntime and OpenVINO of today."""
_LIBRARIES = ("onnx", "onnxscript")


def export_onnx(
    path: Path,
    model: Model,
    *,
    reference: bool = False,
    degradation: Degradation | None = UNKNOWN,
    precision: Precision = "float32",
    tile: int | None = None,
) -> None:
    """Write a model as one ONNX file.

    Parameters
    ----------
    path : Path
        The file; one that is there is replaced.
    model : Model
        What to export; its network is on the CPU.
    reference : bool
        Export the cross-scale mode, with the next-higher level as second input.
    degradation : Degradation, optional
        What the network knows of its input, fixed in the graph; None makes it the input ``told``.
    precision : {"float32", "float16"}
        Of the weights; images are float32 in and out.
    tile : int, optional
        LR pixels a side, fixed in the graph; by default any height and width.

    Raises
    ------
    RequestError
        If a library is missing, the model takes no reference, or the tile is odd or too small.
    OutputError
        If the file cannot be written.
    """
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise RequestError(
            f"ONNX export wants {' and '.join(missing)}; install napari-cwtnet[onnx]."
        )
    if reference and not model.takes_reference:
        raise RequestError(f"Model {model.name!r} takes no reference; export it without.")
    least = 2 * model.config.halo + 2
    if tile is not None and (tile < least or tile % 2):
        raise RequestError(f"Tile {tile}: give an even number of at least {least} LR pixels.")
    check_place(path)
    portable = PortableModel(
        model, reference=reference, degradation=degradation, precision=precision
    )
    program = _traced(portable, tile, tile or model.config.tile)
    program.model.metadata_props.update(metadata(model, portable, degradation, precision, tile))
    with written_whole(path) as partial:
        program.save(partial, external_data=False)


def metadata(
    model: Model,
    portable: PortableModel,
    degradation: Degradation | None,
    precision: Precision,
    tile: int | None,
) -> dict[str, str]:
    """What a program must know to use the graph, as text by name."""
    fields: dict[str, Any] = {
        "name": model.name,
        "notice": RESEARCH_USE,
        "licence": "BSD-3-Clause",
        "scale": model.scale,
        "tile": tile or "any",
        "suggested_tile": model.config.tile,
        "halo": model.config.halo,
        "inputs": " ".join(portable.inputs),
        "normalisation": "RGB, 8-bit values divided by 255, channels first; output likewise",
        "precision": precision,
        "told": "input" if degradation is None else str(degradation),
        "weights_sha256": model.sha256,
        "figures": json.dumps(model.provenance.get("figures", {})),
        "stains": ", ".join(model.provenance.get("stains", [])),
    }
    return {f"cwtnet.{name}": str(value) for name, value in fields.items()}


def _traced(portable: PortableModel, tile: int | None, side: int) -> Any:
    """The graph; torch's exporter is talkative, so its log and warnings are kept quiet."""
    example = portable.example(side)
    first, *others = (_dynamic(name) for name in portable.inputs)
    shapes = None if tile is not None else (first, *([tuple(others)] if others else []))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return torch.onnx.export(
            portable,
            example,
            input_names=portable.inputs,
            output_names=["sr"],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=shapes,
            verbose=False,
        )


def _dynamic(name: str) -> dict[int, Any] | None:
    """Sides that may differ from call to call, by axis."""
    if name == "told":
        return {}
    auto = torch.export.Dim.AUTO
    return {2: auto, 3: auto}
