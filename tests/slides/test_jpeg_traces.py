"""JPEGs that were saved again without loss, and pixels that never were one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.degradation import Compression, Kernel
from napari_cwtnet.slides.degrade import compress, shrink

IMAGES = ("train/bcss/1008.png", "train/glomeruli_pas/10003.png", "train/camelyon/images/10072.png")


@pytest.fixture(params=IMAGES)
def clean(request: pytest.FixtureRequest, data_dir: Any) -> np.ndarray:
    """Tissue without any trace: an image of half the size."""
    image = np.asarray(Image.open(data_dir / request.param).convert("RGB"))[:1024, :1024]
    return shrink(image, Kernel("box"), 2)


def found(path: Path, pixels: np.ndarray) -> Any:
    Image.fromarray(pixels).save(path)
    with open_slide(path) as slide:
        return slide.levels[0].degradation


@pytest.mark.parametrize("quality", [50, 60, 75, 80, 90, 95])
def test_quality_of_a_jpeg_saved_as_png(tmp_path: Path, clean: np.ndarray, quality: int) -> None:
    lossy = compress(clean, Compression("jpeg", quality, "420"))
    for pixels in (lossy, lossy[5:, 3:]):
        said = found(tmp_path / "a.png", pixels)
        assert said.compression.kind == "jpeg"
        assert said.compression.quality == pytest.approx(quality, abs=1)
        assert said.compression_source == "estimated"


def test_no_trace_in_clean_pixels(tmp_path: Path, clean: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(0, 3, clean.shape)
    noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    lossy = compress(clean, Compression("jpeg", 60, "420"))
    for pixels in (clean, noisy, shrink(lossy, Kernel("bicubic"), 2), np.full_like(clean, 240)):
        said = found(tmp_path / "a.png", pixels)
        assert said.compression == Compression("none")
        assert said.compression_source == "read"
