from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_cwtnet.errors import RequestError, SlideError
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import Slide, open_slide
from napari_cwtnet.slides.resample import Axis, resample
from slides.pattern import HEIGHT, WIDTH, stored, write_tiff


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory):
    with open_slide(write_tiff(tmp_path_factory.mktemp("read") / "a.tif"), mpp=0.25) as slide:
        yield slide


def test_native_pixels_are_copied(slide: Slide) -> None:
    got = slide.read(Region(33, 57, 200, 150), 1)
    np.testing.assert_array_equal(got, stored(1)[57:207, 33:233])
    assert got.dtype == np.uint8


def test_beyond_the_slide_is_background_and_the_rest_is_copied(slide: Slide) -> None:
    got = slide.read(Region(-10, -20, 50, 40), 1)
    assert (got[:20] == 255).all()
    assert (got[:, :10] == 255).all()
    np.testing.assert_array_equal(got[20:, 10:], stored(1)[:20, :40])
    corner = slide.read(Region(WIDTH - 5, HEIGHT - 4, 20, 20), 1)
    np.testing.assert_array_equal(corner[:4, :5], stored(1)[-4:, -5:])
    assert (corner[4:] == 255).all()
    assert (corner[:, 5:] == 255).all()


def test_read_level_and_read_tile_give_the_stored_pixels(slide: Slide) -> None:
    got = slide.read_level(1, -3, 250, 400, 20)
    assert (got[:, :3] == 255).all()
    assert (got[8:] == 255).all()
    np.testing.assert_array_equal(got[:8, 3:368], stored(2)[250:])
    tile = slide.read_tile(0, 5, 4)
    assert tile.shape == (HEIGHT - 4 * 128, WIDTH - 5 * 128, 3)
    np.testing.assert_array_equal(tile, stored(1)[4 * 128 :, 5 * 128 :])
    assert not tile.flags.writeable


def test_thumbnail_keeps_the_aspect(slide: Slide) -> None:
    assert slide.thumbnail(200).shape == (141, 200, 3)
    assert slide.thumbnail().shape == (362, 512, 3)
    assert slide.thumbnail(5000).shape == (HEIGHT, WIDTH, 3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.floats(-50, WIDTH - 1),
    st.floats(-50, HEIGHT - 1),
    st.floats(52, 400),
    st.floats(52, 400),
    st.floats(1, 40),
)
def test_any_region_has_its_size(slide, x, y, width, height, downsample) -> None:
    region = Region(x, y, width, height)
    got = slide.read(region, downsample)
    assert got.shape == (*region.size_at(downsample)[::-1], 3)
    assert got.flags.writeable


@pytest.mark.parametrize("step", [1.0, 1.37, 3.7])
def test_blocks_leave_no_seams(step: float) -> None:
    rng = np.random.default_rng(1)
    source = rng.integers(0, 256, (700, 700, 3), np.uint8)
    largest = 0

    def gather(left: int, top: int, right: int, bottom: int):
        nonlocal largest
        largest = max(largest, right - left, bottom - top)
        return source[top:bottom, left:right]

    x, y = Axis(40.3, step, 150), Axis(60.8, step, 140)
    whole, parts = (np.empty((140, 150, 3), np.uint8) for _ in range(2))
    resample(gather, x, y, whole)
    largest = 0
    resample(gather, x, y, parts, block_side=96)
    assert largest <= 98
    assert np.abs(whole.astype(int) - parts).max() <= 1


def test_threads_read_the_same_bytes(slide: Slide) -> None:
    regions = [Region(7.3 * i, 4.1 * i, 150, 120) for i in range(24)]
    alone = [slide.read(region, 1 + i / 7) for i, region in enumerate(regions)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: slide.read(regions[i], 1 + i / 7), range(24)))
    for first, second in zip(alone, together, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (
            lambda s: s.read(Region(0, 0, 9, 9), 0.5),
            (
                "Downsample 0.5 cannot be read; the slide has no pixels finer than level 0, "
                "give 1 or more."
            ),
        ),
        (
            lambda s: s.read(Region(731, 0, 9, 9), 1),
            (
                "Region 731,0,9,9 is outside the slide of 731 × 517 pixels; "
                "give a region that overlaps it."
            ),
        ),
        (
            lambda s: s.read_level(3, 0, 0, 1, 1),
            "Level 3 does not exist; the slide has levels 0 to 2.",
        ),
        (
            lambda s: s.read_level(0, 0, 0, 0, 1),
            "Rectangle of 0 × 1 pixels has no area; give 1 × 1 or more.",
        ),
        (
            lambda s: s.read_tile(1, 3, 0),
            "Tile 3,0 is not in level 1; it has 3 × 3 tiles.",
        ),
        (lambda s: s.thumbnail(0), "Thumbnail size 0 is not a size; give 1 or more."),
    ],
)
def test_requests_that_cannot_be_served(slide: Slide, read, message: str) -> None:
    with pytest.raises(RequestError, match=f"^{re.escape(message)}$"):
        read(slide)


def test_not_a_number_is_refused(slide: Slide) -> None:
    with pytest.raises(RequestError, match="Downsample nan cannot be read"):
        slide.read(Region(0, 0, 9, 9), float("nan"))


def test_a_closed_slide_says_so(tmp_path: Path) -> None:
    slide = open_slide(write_tiff(tmp_path / "a.tif", (1,)))
    assert repr(slide) == "Slide('a.tif', tiff, 731 × 517, downsamples 1, downsample 1)"
    slide.close()
    slide.close()
    with pytest.raises(SlideError, match=r"^Slide 'a\.tif' is closed; open it again to read"):
        slide.read(slide.bounds, 1)
    assert repr(slide).endswith(", closed)")


def test_repr_says_what_it_is(slide: Slide) -> None:
    assert repr(slide) == (
        "Slide('a.tif', tiff, 731 × 517, downsamples 1, 2, 4, 0.250 µm/px (40×))"
    )
