"""Small images, and recipes that run in a second or two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_cwtnet.training.recipe import Recipe

TINY = {
    "blocks": 1,
    "channels": 8,
    "sr_residual_blocks": 1,
    "wt_residual_blocks": 1,
    "wr_blocks": 1,
    "tile": 32,
}


def tiny_recipe(**changes: Any) -> Recipe:
    """A recipe for the images of ``data_root``; four of the five are trained on."""
    fields = {
        "name": "tiny",
        "scale": 2,
        "network": TINY,
        "sources": [
            {"name": "blocks", "folder": "blocks", "licence": "CC0-1.0", "held_out": ["4*"]}
        ],
        "loss": {"sr": 1.0, "wt": 0.1, "sr_ssim": 0.1, "wt_ssim": 0.0},
        "patch": 16,
        "batch": 2,
        "learning_rate": 2e-3,
        "warm_up": 2,
        "ema": 0.9,
        "steps": 6,
        "validate_every": 3,
    }
    return Recipe.model_validate(fields | changes)


def tiles(seed: int, side: int = 64) -> np.ndarray:
    """Flat tiles of 4 × 4 pixels in two colours: sharp edges, which a network can learn."""
    generator = np.random.default_rng(seed)
    bits = generator.integers(0, 2, (side // 4, side // 4)).repeat(4, 0).repeat(4, 1)
    colours = np.array([[230, 200, 220], [90, 40, 120]], np.uint8)
    return colours[bits]


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """Folder that the sources are relative to."""
    folder = tmp_path / "data" / "blocks"
    folder.mkdir(parents=True)
    for number in range(5):
        Image.fromarray(tiles(number)).save(folder / f"{number}.png")
    return tmp_path / "data"
