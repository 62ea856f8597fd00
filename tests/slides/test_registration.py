from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import open_slide
from slides.pattern import HEIGHT, WIDTH, pattern, shift, write_ome, write_tiff

DOWNSAMPLES = (1, 1.5, 2, 3.7, 4, 4.0003, 11.3)


@pytest.fixture(scope="module", params=["tiff", "ome"])
def pyramid(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pyramid")
    if request.param == "tiff":
        return write_tiff(folder / "pattern.tif")
    return write_ome(folder / "pattern.ome.tif")


@pytest.mark.parametrize("downsample", DOWNSAMPLES)
@pytest.mark.parametrize("place", [(100.0, 80.0), (100.37, 81.81), (203.5, 40.25)])
def test_pixels_are_where_the_pattern_is(
    pyramid: Path, downsample: float, place: tuple[float, float]
) -> None:
    region = Region(*place, 400.3, 301.7)
    with open_slide(pyramid) as slide:
        got = slide.read(region, downsample)
    want = pattern(region, downsample)
    assert got.shape == want.shape == (*region.size_at(downsample)[::-1], 3)
    # The kernel is wider than a box, so that waves are damped a little more than by the box.
    assert np.abs(got - want).max() < 1.0 + 0.5 * downsample
    assert max(map(abs, shift(want, got))) < 0.05


@pytest.mark.parametrize("downsample", [1, 1.5, 2, 3.7, 4])
def test_the_border_is_neither_darkened_nor_whitened(pyramid: Path, downsample: float) -> None:
    region = Region(-20.5, -13.25, WIDTH + 50, HEIGHT + 40)
    with open_slide(pyramid) as slide:
        got = slide.read(region, downsample).astype(int)
    want = pattern(region, downsample)
    height, width = got.shape[:2]
    x = region.x + (np.arange(width) + 0.5) * downsample
    y = region.y + (np.arange(height) + 0.5) * downsample
    inside = ((y >= 0) & (y < HEIGHT))[:, None] & ((x >= 0) & (x < WIDTH))[None]
    assert (got[~inside] == 255).all()
    assert np.abs(got - want)[inside].max() < 4 + 6 * downsample


def test_downsample_of_a_rounded_level_is_its_whole_factor(pyramid: Path) -> None:
    with open_slide(pyramid) as slide:
        assert [level.downsample for level in slide.levels] == [1, 2, 4]
        assert slide.levels[2].size == (WIDTH // 4, HEIGHT // 4)
        exact = slide.read(Region(160, 80, 400, 320), 4)
        # Sizes 731 -> 182 suggest 4.016; a region at 4 is nevertheless a plain copy.
        np.testing.assert_array_equal(exact, slide.read_level(2, 40, 20, 100, 80))
        near = slide.read(Region(160, 80, 400, 320), 4.0003)
        assert np.abs(near.astype(int) - exact).max() <= 2


SLIDES = {
    "svs": ("slides/cmu1_small_svs/CMU-1-Small-Region.svs", Region(700.3, 900.6, 640, 560)),
    "two-level svs": (
        "slides/tcga_cr7395_svs/tcga-cr-7395-01a-01-ts1.svs",
        Region(2000.3, 1500.7, 900, 800),
    ),
    "tiff": ("slides/prostate_pyramid_tiff/slide.tiff", Region(1200.4, 1100.2, 900, 800)),
    "ndpi": ("slides/stritt_ndpi/test3-DAPI-2-387.ndpi", Region(1500.4, 2000.2, 900, 800)),
    "ome": ("slides/os2_ometiff/OS-2-ndpi.ome.tif", Region(900.4, 600.2, 900, 800)),
}


@pytest.mark.parametrize("name", SLIDES)
@pytest.mark.parametrize("downsample", [1.5, 2, 2.6, 4, 5.3])
def test_real_levels_lie_where_level_0_says(data_dir, name: str, downsample: float) -> None:
    path, region = SLIDES[name]
    with open_slide(data_dir / path) as slide:
        got = slide.read(region, downsample)
        margin = 64
        x, y = int(region.x) - margin, int(region.y) - margin
        pixels = slide.read_level(0, x, y, 1200, 1100)
    width, height = region.size_at(downsample)
    left, top = region.x - x, region.y - y
    box = (left, top, left + width * downsample, top + height * downsample)
    want = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, box=box)
    # Scanners reduce with filters of their own, so the limit is a tenth of an output pixel.
    assert max(map(abs, shift(np.asarray(want), got))) < 0.1
    assert np.corrcoef(np.asarray(want).ravel(), got.ravel())[0, 1] > 0.95
