"""A model as a bioimage.io package (specification 0.5), which ImageJ and others can run."""

from __future__ import annotations

import hashlib
import io
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image

from napari_cwtnet.enhancement.plan import RESEARCH_USE
from napari_cwtnet.errors import RequestError
from napari_cwtnet.export.onnx_model import OPSET, export_onnx
from napari_cwtnet.files import check_place, written_whole
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import Model
from napari_cwtnet.model.portable import PortableModel
from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation
from napari_cwtnet.slides.sample import sample_slide

_COVER = (400, 200)
_SAMPLE_PLACE = (1000, 1600)
"""Level-0 pixels of the sample slide: tissue with many nuclei."""


def export_bioimageio(
    path: Path,
    model: Model,
    *,
    degradation: Degradation = UNKNOWN,
    tile: int | None = None,
) -> None:
    """Write a model as one zip file: ONNX weights, description, test images, cover.

    The package takes and gives RGB in 0..255, as viewers hold it.

    Parameters
    ----------
    path : Path
        The file, ending in ``.zip``; one that is there is replaced.
    model : Model
        What to export, in single-image mode: the format has no place for a reference that need
        not be there.
    degradation : Degradation
        What the network knows of its input, fixed in the package.
    tile : int, optional
        LR pixels a side of the test images; the model's own tile by default.

    Raises
    ------
    RequestError
        If the name is no zip file's, a library or the sample slide is missing, or the tile does
        not suit.
    OutputError
        If the file cannot be written.
    """
    if path.suffix.lower() != ".zip":
        raise RequestError(f"Output {path}: a bioimage.io package is a zip file; name it so.")
    check_place(path)
    side = tile or model.config.tile
    lr = _example(side)
    # A copy in channels-first float32, as the package's own preprocessing makes it.
    tensor = torch.from_numpy(np.moveaxis(lr, -1, 0)[None].astype(np.float32))
    portable = PortableModel(model, reference=False, degradation=degradation)
    with torch.no_grad():
        sr = portable(tensor / 255).numpy() * 255
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.onnx"
        export_onnx(weights, model, degradation=degradation)
        parts = {
            "weights.onnx": weights.read_bytes(),
            "test_input.npy": _npy(tensor.numpy()),
            "test_output.npy": _npy(sr),
            "cover.png": _cover(lr, sr),
            "README.md": _readme(model, degradation).encode(),
        }
    parts["rdf.yaml"] = yaml.safe_dump(
        description(model, side, parts, degradation), sort_keys=False, allow_unicode=True
    ).encode()
    with written_whole(path) as partial, zipfile.ZipFile(partial, "w") as package:
        for name, content in parts.items():
            package.writestr(name, content, zipfile.ZIP_DEFLATED)


def description(
    model: Model, side: int, parts: dict[str, bytes], degradation: Degradation
) -> dict[str, Any]:
    """The package's ``rdf.yaml`` as JSON values."""
    scale, halo = model.scale, model.config.halo

    def file(name: str) -> dict[str, str]:
        return {"source": name, "sha256": hashlib.sha256(parts[name]).hexdigest()}

    least = 2 * halo + 2
    sides = {"size": {"min": least + (side - least) % 2, "step": 2}}

    def linear(gain: float) -> dict[str, Any]:
        return {"id": "scale_linear", "kwargs": {"gain": gain, "offset": 0.0}}

    return {
        "format_version": "0.5.4",
        "type": "model",
        "name": f"CWT-Net super-resolution x{scale} ({model.name})",
        "description": f"Super-resolution x{scale} of pathology images. {RESEARCH_USE}",
        "authors": [{"name": "napari-cwtnet developers"}],
        "cite": [
            {"text": "CWT-Net (arXiv 2409.07092)", "doi": "10.48550/arXiv.2409.07092"},
        ],
        "license": "BSD-3-Clause",
        "documentation": "README.md",
        "covers": ["cover.png"],
        "tags": ["super-resolution", "histopathology", "whole-slide-imaging", "2d", "rgb"],
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": {"napari_cwtnet": {"weights_sha256": model.sha256, "told": str(degradation)}},
        "inputs": [
            {
                "id": "lr",
                "axes": _axes(sides, sides),
                "test_tensor": file("test_input.npy"),
                "data": {"type": "float32", "range": [0, 255]},
                "preprocessing": [linear(1 / 255)],
            }
        ],
        "outputs": [
            {
                "id": "sr",
                "axes": _axes(
                    *(
                        {
                            "size": {"tensor_id": "lr", "axis_id": axis, "offset": 0},
                            "scale": 1 / scale,
                            "halo": halo * scale,
                        }
                        for axis in "yx"
                    )
                ),
                "test_tensor": file("test_output.npy"),
                "data": {"type": "float32", "range": [0, 255]},
                "postprocessing": [linear(255.0)],
            }
        ],
        "weights": {"onnx": {**file("weights.onnx"), "opset_version": OPSET}},
    }


def _axes(y: dict[str, Any], x: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "batch", "size": 1},
        {"type": "channel", "channel_names": ["red", "green", "blue"]},
        {"type": "space", "id": "y", **y},
        {"type": "space", "id": "x", **x},
    ]


def _example(side: int) -> NDArray[np.uint8]:
    """LR pixels of the sample slide, ``(side, side, 3)``."""
    with open_slide(sample_slide()) as slide:
        return slide.read(Region(*_SAMPLE_PLACE, side, side), 1)


def _npy(array: NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _cover(lr: NDArray[np.uint8], sr: NDArray[np.float32]) -> bytes:
    """LR as it is beside SR, on the same field."""
    width, height = _COVER
    made = np.moveaxis(sr[0], 0, -1).round().clip(0, 255).astype(np.uint8)
    sheet = Image.new("RGB", _COVER)
    for place, (image, resample) in enumerate(
        ((lr, Image.Resampling.NEAREST), (made, Image.Resampling.BICUBIC))
    ):
        middle, half = image.shape[0] // 2, image.shape[0] // 4
        square = slice(middle - half, middle + half)
        part = np.ascontiguousarray(image[square, square])
        half_sheet = Image.fromarray(part).resize((width // 2, height), resample)
        sheet.paste(half_sheet, (place * width // 2, 0))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()


def _readme(model: Model, degradation: Degradation) -> str:
    gains = model.provenance.get("figures", {}).get("single-image", {})
    lines = [
        f"# {model.name}",
        "",
        f"CWT-Net, super-resolution x{model.scale} of RGB images of stained tissue "
        f"({', '.join(model.provenance.get('stains', ['H&E']))}). {RESEARCH_USE}",
        "",
        "The pixels that it adds are computed: they are what such tissue usually looks like, and "
        "no evidence of what is there.",
        "",
        f"Input: RGB, 0..255. The model assumes that it was made by: {degradation}.",
    ]
    if gains:
        lines += ["", "| made by | gain over bicubic, dB |", "|---|---|"]
        lines += [f"| {spec} | {gain:+.2f} |" for spec, gain in gains.items()]
    lines += [
        "",
        "## Validation",
        "",
        "Compare with bicubic enlargement on images of your own.",
        "",
    ]
    return "\n".join(lines)
