"""A slide of two by two blocks, a network whose tiles cannot be told wrong, and comparisons."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tifffile
import torch
from slides.pattern import stored

from napari_cwtnet.model import CwtNet, preset, save_weights

WIDTH, HEIGHT = 1200, 1100
BLOCK = 1024


def write_slide(path: Path, *, glass: bool = True) -> Path:
    """The analytic pattern with noise on it, 1200 × 1100 pixels of 0.25 µm, half of it glass."""
    noise = np.random.default_rng(0).integers(-20, 21, (HEIGHT, WIDTH, 3))
    image = (stored(1, WIDTH, HEIGHT) + noise).clip(0, 255).astype(np.uint8)
    if glass:  # cheap, and in part between two blocks
        image[:800, :700] = image[500:800, 800:] = 240
    metadata = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(image, tile=(128, 128), photometric="rgb", metadata=metadata)
    return path


def write_model(folder: Path, scale: int, seed: int = 0) -> Path:
    """Random weights: what such a network gives depends on where its tile begins and ends."""
    network = CwtNet(preset("lite", scale, blocks=1, channels=8, tile=96, halo=8))
    generator = torch.Generator().manual_seed(scale + seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    path = folder / f"random-x{scale}.safetensors"
    save_weights(path, network, {"reference_share": 0.5})
    return path


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its name in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def without_time(folder: Path) -> dict[str, bytes]:
    """The same of an OME-Zarr, without the time and what only whole slides say of their source."""
    found = files(folder)
    group = json.loads(found["zarr.json"])
    del group["attributes"]["napari_cwtnet"]["time"]
    group["attributes"]["napari_cwtnet"].pop("source", None)
    return found | {"zarr.json": json.dumps(group, sort_keys=True).encode()}
