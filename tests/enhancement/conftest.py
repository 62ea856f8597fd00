"""A real slide file of known pixels, and small models with known behaviour."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from slides.pattern import write_ome

from napari_cwtnet.model import CwtNet, Model, load_model, preset, save_weights
from napari_cwtnet.slides import Slide, open_slide


@pytest.fixture(scope="session")
def pattern_slide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slide]:
    """A pyramid of the analytic pattern, 731 × 517 pixels of 0.25 µm."""
    path = write_ome(tmp_path_factory.mktemp("slides") / "pattern.ome.tif")
    with open_slide(path) as slide:
        yield slide


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory):
    """Make a small model: exactly bicubic, or with random weights (``seed``)."""
    folder = tmp_path_factory.mktemp("models")

    def make(
        scale: int = 2, *, seed: int | None = None, share: float = 0.5, **changes: Any
    ) -> Model:
        settings = {"blocks": 1, "channels": 8, "tile": 64, "halo": 12} | changes
        network = CwtNet(preset("lite", scale, **settings))
        if seed is not None:
            generator = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
        name = f"x{scale}-{seed}-{share}-{'-'.join(f'{k}{v}' for k, v in changes.items())}"
        path: Path = folder / f"{name}.safetensors"
        save_weights(path, network, {"reference_share": share})
        return load_model(path)

    return make
