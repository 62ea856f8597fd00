"""A slide full of texture, and small models with every kind of search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from scipy.ndimage import gaussian_filter

from napari_cwtnet.enhancement import Engine
from napari_cwtnet.model import CwtNet, load_model, preset, save_weights
from napari_cwtnet.slides import Slide, open_slide


@pytest.fixture(scope="session")
def texture_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TIFF of smoothed noise, 400 × 320 pixels of 0.25 µm: no two patches are alike."""
    noise = np.random.default_rng(7).normal(size=(320, 400, 3))
    smooth = gaussian_filter(noise, (1.2, 1.2, 0))
    pixels = np.clip(128 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    path: Path = tmp_path_factory.mktemp("slides") / "texture.tif"
    tifffile.imwrite(
        path,
        pixels,
        photometric="rgb",
        tile=(64, 64),
        resolution=(40_000, 40_000),
        resolutionunit="CENTIMETER",
    )
    return path


@pytest.fixture(scope="session")
def slide(texture_file: Path) -> Iterator[Slide]:
    with open_slide(texture_file) as opened:
        assert opened.mpp == 0.25
        yield opened


@pytest.fixture(scope="session")
def make_engine(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Engine]:
    """An engine of a small model: exactly bicubic, or with random weights (``seed``)."""
    folder = tmp_path_factory.mktemp("models")

    def make(scale: int = 4, *, seed: int | None = None, **changes: object) -> Engine:
        settings = {"blocks": 2, "channels": 8, "tile": 32, "halo": 6} | changes
        network = CwtNet(preset("lite", scale, **settings))
        if seed is not None:
            generator = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
        words = "-".join(f"{key}{value}" for key, value in changes.items())
        path = folder / f"x{scale}-{seed}-{words}.safetensors"
        save_weights(path, network, {"reference_share": 0.5})
        return Engine(load_model(path), "cpu", dtype="float32")

    return make
