from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.backend import Level, best_level, exact_downsample
from napari_cwtnet.slides.backends.openslide import MARGIN, unblend
from napari_cwtnet.slides.resolution import micrometres, ome_resolution, stated_resolution


@given(
    st.integers(5_000, 200_000),
    st.integers(5_000, 200_000),
    st.sampled_from([2, 3, 4, 8, 16, 32]),
    st.booleans(),
)
def test_whole_factors_survive_rounding(width: int, height: int, factor: int, up: bool) -> None:
    size = Size(*(-(-side // factor) if up else side // factor for side in (width, height)))
    assert exact_downsample(Size(width, height), size) == factor


def test_other_factors_are_the_ratio_or_what_is_stated() -> None:
    assert exact_downsample(Size(10_000, 8_000), Size(4_000, 3_200)) == 2.5
    assert exact_downsample(Size(10_000, 8_000), Size(2_560, 2_048), 4.0) == 4.0


def test_the_coarsest_level_that_is_fine_enough() -> None:
    levels = [Level(d, Size(1, 1), Size(1, 1)) for d in (1.0, 4.0, 16.0)]
    wanted = {1: 0, 3.99: 0, 3.9999999: 1, 4: 1, 4.0003: 1, 15: 1, 16: 2, 1000: 2}
    assert {d: best_level(levels, d) for d in wanted} == wanted


@pytest.mark.parametrize("fraction", [0.0, 0.12, -0.25, 0.25, -0.03])
def test_unblend_inverts_bilinear_reads(fraction: float) -> None:
    rng = np.random.default_rng(2)
    stored = rng.integers(0, 256, (64, 70, 3)).astype(float)
    step = 1 if fraction > 0 else -1
    mixed = stored
    for axis in (0, 1):
        mixed = (1 - abs(fraction)) * mixed + abs(fraction) * np.roll(mixed, -step, axis)
    rgba = np.dstack([np.rint(mixed), np.full(mixed.shape[:2], 255)]).astype(np.uint8)
    got = unblend(rgba, (fraction, fraction))
    inner = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN), slice(3))
    # Rounding to 8 bits is amplified at most by 1 / (1 - 2e) along each axis.
    limit = 0.5 / (1 - 2 * abs(fraction)) ** 2 + 0.6
    assert np.abs(got[inner] - stored[inner]).max() <= limit


def test_unblend_leaves_places_without_pixels_alone() -> None:
    rgba = np.full((30, 30, 4), 90, np.uint8)
    np.testing.assert_array_equal(unblend(rgba, (0.2, 0.2)), rgba)


def test_units_of_length() -> None:
    assert micrometres(1, "mm") == 1000
    assert micrometres(2.5, "\u03bcm") == 2.5
    assert micrometres(500, "nm") == pytest.approx(0.5)
    assert micrometres(1, "pixel") is None


def test_ome_without_a_usable_size() -> None:
    size = Size(10, 10)
    assert ome_resolution("<OME", size).note == (
        "OME-XML is not well-formed; set mpp, in µm per pixel, to use physical sizes"
    )
    pixels = (
        '<OME><Pixels SizeX="10" SizeY="10" PhysicalSizeX="1" PhysicalSizeXUnit="pixel"/></OME>'
    )
    assert ome_resolution(pixels, size).mpp is None


def test_pixels_that_are_not_square_are_noted() -> None:
    resolution = stated_resolution(0.2, 0.4, "x")
    assert resolution.mpp == pytest.approx(0.3)
    assert resolution.note == "pixels are not square: 0.2 × 0.4 µm"
