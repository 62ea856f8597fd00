"""Glass and darkness are left out; nothing with texture ever is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

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


@pytest.mark.parametrize(("level", "noise"), [(255, 0), (243, 1), (215, 1), (0, 0), (4, 1)])
def test_glass_and_darkness_are_background(level: int, noise: int) -> None:
    assert is_background(even(level, noise))


def test_light_that_falls_off_is_background() -> None:
    falls = np.linspace(255, 215, 146)[None, :, None]
    assert is_background(np.broadcast_to(falls, (146, 146, 3)).astype("uint8"))


@pytest.mark.parametrize("level", [40, 120, 190])
def test_an_even_grey_is_not(level: int) -> None:
    assert not is_background(even(level))


@pytest.mark.parametrize("side", [1, 2, 5, 30])
@pytest.mark.parametrize(("level", "difference"), [(240, -4), (240, 4), (3, 3), (9, 5)])
def test_a_faint_speck_is_not(level: int, difference: int, side: int) -> None:
    assert is_background(even(level))
    assert not is_background(with_square(even(level), difference, side))


def texture(kind: str) -> np.ndarray:
    """Values -1 to 1 that vary over a few pixels: threads, grains and specks."""
    generator, (rows, columns) = np.random.default_rng(3), np.mgrid[:146, :146]
    if kind == "grains":
        blurred = Image.fromarray(generator.integers(0, 256, (146, 146)).astype("uint8"))
        values = np.asarray(blurred.filter(ImageFilter.GaussianBlur(2))).astype(float)
        values -= values.mean()
        return values / np.abs(values).max()
    if kind == "specks":
        return (generator.random((146, 146)) < 0.001).astype(float)
    return np.sin(2 * np.pi * (columns + rows / 3) / float(kind))


@pytest.mark.parametrize("kind", ["2.5", "4", "8", "16", "grains", "specks"])
@pytest.mark.parametrize("level", [7, 210, 245])
@pytest.mark.parametrize("amplitude", [3, 4, 6])
def test_faint_texture_is_not(kind: str, level: int, amplitude: int) -> None:
    """Fat and mucus are as pale as this, and stains as dim."""
    image = even(level) + (amplitude * texture(kind))[..., None]
    assert not is_background(image.round().clip(0, 255).astype("uint8"))


def test_one_colour_alone_is_enough() -> None:
    image = even(240)
    image[80, 80, 1] -= 4
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
    assert f"{count} of them background" in found.tile_counts.words
    assert np.array_equal(
        found.image[: 90 * scale, : 90 * scale], whole.image[: 90 * scale, : 90 * scale]
    )
    glass = (slice(-90 * scale, -10),) * 2
    assert np.abs(found.image[glass].astype(int) - plain[glass]).max() <= 1
    assert not np.array_equal(found.image[glass], whole.image[glass])


@pytest.mark.parametrize(
    "name",
    [
        f"cmu1_small_svs/{SAMPLE_NAME}",
        "os2_ometiff/OS-2-ndpi.ome.tif",
        "prostate_pyramid_tiff/slide.tiff",
        "stritt_ndpi/test3-TRITC-2-560.ndpi",
        "tcga_cr7395_svs/tcga-cr-7395-01a-01-ts1.svs",
    ],
)
def test_whatever_a_real_slide_shows_is_computed(data_dir: Any, name: str) -> None:
    """What is left out is of one colour, give or take its light; in most of these there is none."""
    with open_slide(data_dir / "slides" / name) as slide:
        columns, rows = slide.size.width // 256, slide.size.height // 256
        left_out = 0
        for column in range(columns):
            for row in range(rows):
                tile = slide.read(Region(column * 256, row * 256, 256, 256), 2)
                if is_background(tile):
                    left_out += 1
                    assert np.ptp(tile, (0, 1)).max() <= 8
    assert (left_out > 0) == name.startswith("tcga")
