"""Tiles cover what they must, and together weigh the same everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_cwtnet.enhancement.tiling import FULL_WEIGHT, Grid, Lattice, fitted, steps
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region, Size


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    step_x, step_y = (2 * draw(st.integers(1, 40)) for _ in range(2))
    return Grid(draw(st.integers(0, step_x - 1)), draw(st.integers(0, step_y - 1)), step_x, step_y)


@st.composite
def lattices(draw: st.DrawFn) -> Lattice:
    width, height = draw(st.integers(1, 900)), draw(st.integers(1, 900))
    x = draw(st.floats(0, width - 0.5))
    y = draw(st.floats(0, height - 0.5))
    halo = draw(st.sampled_from([0, 2, 4, 8, 12]))
    return Lattice(
        region=Region(
            x, y, draw(st.floats(0.25, max(0.25, width - x))), draw(st.floats(0.25, height - y))
        ),
        slide_size=Size(width, height),
        downsample=draw(st.sampled_from([1.0, 1.5, 2.0, 3.7, 4.0])),
        scale=draw(st.sampled_from([2, 4])),
        tile=draw(st.sampled_from([32, 64])),
        halo=halo,
        grid=draw(st.none() | grids()),
    )


@settings(max_examples=150, deadline=None)
@given(lattices())
def test_weights_of_overlapping_tiles_sum_to_full_over_the_region(lattice: Lattice) -> None:
    scale, (columns, rows) = lattice.scale, lattice.size
    total = np.zeros((rows * scale, columns * scale), np.int64)
    for tile in lattice.tiles():
        weights = tile.weights(scale)
        top = (tile.rows.start - lattice.origin[1]) * scale
        left = (tile.columns.start - lattice.origin[0]) * scale
        y0, x0 = max(0, top), max(0, left)
        part = weights[y0 - top :, x0 - left :][: total.shape[0] - y0, : total.shape[1] - x0]
        total[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] += part
    assert (total == FULL_WEIGHT**2).all()


@settings(max_examples=150, deadline=None)
@given(lattices())
def test_what_counts_was_read_with_its_halo_unless_the_slide_ends(lattice: Lattice) -> None:
    for tile in lattice.tiles():
        for span in (tile.columns, tile.rows):
            assert span.read_start <= span.start < span.stop <= span.read_stop
            assert span.read_stop - span.read_start <= max(lattice.tile_size)
            inner = lattice.halo - lattice.halo // 2
            assert span.read_start == 0 or span.start - span.read_start >= inner
            assert not span.ramp_out or span.read_stop - span.stop >= inner
        assert tile.read.x >= 0
        assert tile.read.y >= 0


def test_a_tile_keeps_its_size_at_the_slides_edge() -> None:
    lattice = Lattice(Region(0, 0, 1000, 700), Size(1000, 700), 1.0, 2, 64, 8)
    sides = {(t.read.width, t.read.height) for t in lattice.tiles()}
    assert sides == {tuple(lattice.tile_size)}


def test_neighbouring_views_share_tiles() -> None:
    here = Lattice(Region(400, 400, 800, 600), Size(4000, 4000), 4.0, 2, 64, 8)
    panned = Lattice(Region(600, 400, 800, 600), Size(4000, 4000), 4.0, 2, 64, 8, here.grid)
    assert here.phase == panned.phase == (0.0, 0.0)
    shared = set(here.tiles()) & set(panned.tiles())
    assert len(shared) >= len(panned.tiles()) // 2


def test_a_region_off_the_grid_is_covered_from_its_very_corner() -> None:
    lattice = Lattice(Region(101.3, 57.7, 80, 40), Size(4000, 4000), 4.0, 2, 64, 8)
    assert lattice.origin == (25, 14)
    assert lattice.phase == (pytest.approx(1.3), pytest.approx(1.7))
    assert lattice.size == (20, 10)


def test_the_centre_comes_first() -> None:
    lattice = Lattice(Region(0, 0, 2000, 1500), Size(2000, 1500), 1.0, 2, 64, 8)
    distances = [
        math.hypot(
            (t.columns.start + t.columns.stop) / 2 - 1000, (t.rows.start + t.rows.stop) / 2 - 750
        )
        for t in lattice.tiles()
    ]
    assert distances == sorted(distances)
    assert distances[0] < 64


@given(
    st.integers(0, 5000),
    st.integers(1, 3000),
    st.sampled_from([(64, 8), (64, 16), (128, 12), (32, 0)]),
)
@example(0, 2185, (64, 16))
def test_a_fitted_grid_has_the_fewest_tiles_that_may_be(
    first: int, count: int, shape: tuple[int, int]
) -> None:
    tile, halo = shape
    grid = fitted((first, 0), (count, count), tile, halo)
    least, largest = steps(tile, halo)
    assert least <= grid.step_x <= largest
    assert 0.4 * tile <= grid.step_x + 2 * halo <= 1.2 * tile
    far = Region(first, 7000, count, 1)
    columns = {t.columns for t in Lattice(far, Size(20000, 20000), 1.0, 2, tile, halo).tiles()}
    fewest = -(-(count + 2 * (halo // 2)) // largest)
    if first >= halo // 2:
        assert len(columns) == fewest
    else:  # no tile beyond the slide's edge fades into the region
        assert fewest - 1 <= len(columns) <= fewest


def test_a_view_of_512_takes_16_tiles_wherever_it_lies() -> None:
    for x in (0, 1, 777, 1488):
        lattice = Lattice(Region(x, 900, 512, 512), Size(2000, 2000), 1.0, 2, 128, 8)
        assert len(lattice.tiles()) == 16
        assert lattice.tile_size == (146, 146)


@pytest.mark.parametrize("text", ["1,2,3", "a,0,8,8", "0,0,7,8", "8,0,8,8", "-1,0,8,8", "0,0,0,8"])
def test_grids_that_are_none(text: str) -> None:
    with pytest.raises(RequestError, match="give X,Y,STEPX,STEPY"):
        Grid.parse(text)
    assert str(Grid.parse("1,2,8,10")) == "1,2,8,10"


def test_halves_of_a_pixel_are_no_grid() -> None:
    wanted = "Grid '1.5,2,8,10' is not four whole numbers; give X,Y,STEPX,STEPY in LR pixels."
    with pytest.raises(RequestError) as caught:
        Grid.parse("1.5,2,8,10")
    assert str(caught.value) == wanted
