"""Glass and darkness are left out; nothing with texture ever is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_cwtnet.enhancement import enhance, enlarged
from napari_cwtnet.enhancement.background import is_background
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.sample import SAMPLE_NAME


def even(level: int, noise: int = 0, side: int = 146) -> np.ndarray:
    generator = np.random.default_rng(0)
    image = np.full((side, side, 3), level, int)
    return (image + generator.integers(-noise, noise + 1, image.shape)).clip(0, 255).astype("uint8")


def with_square(image: np.ndarray, difference: int, side: int) -> np.ndarray:
    changed = image.copy()
    changed[70 : 70 + side, 60 : 60 + side] = np.clip(
        changed[70 : 70 + side, 60 : 60 + side].astype(int) + difference, 0, 255
    )
    return changed


@pytest.mark.parametrize(("level", "noise"), [(255, 0), (243, 3), (215, 2), (0, 0), (4, 1)])
def test_glass_and_darkness_are_background(level: int, noise: int) -> None:
    assert is_background(even(level, noise))


def test_light_that_falls_off_is_background() -> None:
    falls = np.linspace(255, 215, 146)[None, :, None]
    assert is_background(np.broadcast_to(falls, (146, 146, 3)).astype("uint8"))


@pytest.mark.parametrize("level", [40, 120, 190])
def test_an_even_grey_is_not(level: int) -> None:
    assert not is_background(even(level))


@pytest.mark.parametrize("side", [1, 2, 5, 30])
@pytest.mark.parametrize(("level", "difference"), [(240, -12), (240, 14), (3, 5)])
def test_a_faint_speck_is_not(level: int, difference: int, side: int) -> None:
    assert is_background(even(level))
    assert not is_background(with_square(even(level), difference, side))


def test_one_colour_alone_is_enough() -> None:
    image = even(240)
    image[80, 80, 1] -= 15
    assert not is_background(image)


@pytest.mark.parametrize(("scale", "reference"), [(2, "none"), (4, "none"), (4, "next")])
def test_glass_is_enlarged_and_told(
    tmp_path: Path, make_model: Any, scale: int, reference: Any
) -> None:
    image = even(240, 1, 600)
    image[:300, :300] = np.random.default_rng(1).integers(0, 255, (300, 300, 3))
    Image.fromarray(image).save(tmp_path / "half.png")
    model = make_model(scale, seed=4)
    with open_slide(tmp_path / "half.png") as slide:
        found, whole = (
            enhance(
                slide, slide.bounds, 2, model=model, reference=reference, device="cpu",
                skip_background=skip, dtype="float32",
            )
            for skip in (True, False)
        )  # fmt: skip
        plain = enlarged(slide, found.plan, reference=reference == "next")
    count = found.provenance["background_tiles"]
    assert 0.3 * len(found.plan.tiles) < count < len(found.plan.tiles)
    assert "background_tiles" not in whole.provenance
    assert whole.provenance["skip_background"] is False
    assert f"{count} of them background" in found.tally.words
    assert np.array_equal(
        found.image[: 90 * scale, : 90 * scale], whole.image[: 90 * scale, : 90 * scale]
    )
    glass = (slice(-90 * scale, -10),) * 2
    assert np.abs(found.image[glass].astype(int) - plain[glass]).max() <= 1
    assert not np.array_equal(found.image[glass], whole.image[glass])


def test_tissue_of_a_real_slide_is_computed_throughout(data_dir: Any) -> None:
    with open_slide(data_dir / f"slides/cmu1_small_svs/{SAMPLE_NAME}") as slide:
        columns, rows = slide.size.width // 256, slide.size.height // 256
        left_out = 0
        for column in range(columns):
            for row in range(rows):
                tile = slide.read(Region(column * 256, row * 256, 256, 256), 2)
                if is_background(tile):
                    left_out += 1
                    assert tile.std() < 3
                    assert tile.min() > 200
    assert left_out < columns * rows / 2
