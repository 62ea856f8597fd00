"""Regions, their sizes, and the words for a resolution."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import (
    Region,
    Size,
    describe_resolution,
    magnification,
    parse_numbers,
)


def test_corners() -> None:
    region = Region(10, 20.5, 300, 200)
    assert (region.right, region.bottom) == (310, 220.5)


@pytest.mark.parametrize(
    "text", ["10,20,300,200", " 10, 20 ,300, 200 ", "1e1,2e1,3e2,2e2", "10.0,20.0,300.0,200.0"]
)
def test_parse(text: str) -> None:
    assert Region.parse(text) == Region(10, 20, 300, 200)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1;2;3;4", "1,2,,4"])
def test_what_is_not_four_numbers_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        Region.parse(text)
    wanted = f"Region {text!r} is not four numbers; give X,Y,WIDTH,HEIGHT in level-0 pixels."
    assert str(caught.value) == wanted


@pytest.mark.parametrize("text", ["", "7", "1,2,3", "1,b"])
def test_what_is_not_a_place_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_numbers(text, float, "Probe", "X,Y", "level-0 pixels")
    assert str(caught.value) == f"Probe {text!r} is not two numbers; give X,Y in level-0 pixels."


@pytest.mark.parametrize(
    "text", ["0,0,0,5", "0,0,5,0", "0,0,-1,5", "nan,0,1,1", "0,inf,1,1", "0,0,inf,1", "0,0,1,nan"]
)
def test_region_without_area_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"^Region .* has no area; give X,Y,WIDTH,HEIGHT"):
        Region.parse(text)


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(1, 10**6))
def test_text_round_trip(x: int, y: int, side: int) -> None:
    region = Region(x / 4, y / 4, side / 4, side / 2)
    assert Region.parse(str(region)) == region


@pytest.mark.parametrize(
    ("downsample", "size"), [(1, (300, 201)), (2, (150, 100)), (0.5, (600, 402)), (1000, (1, 1))]
)
def test_size_at(downsample: float, size: tuple[int, int]) -> None:
    assert Region(5, 5, 300, 201).size_at(downsample) == Size(*size)


def test_intersection() -> None:
    first = Region(0, 0, 10, 10)
    assert first.intersection(Region(4, -5, 100, 8)) == Region(4, 0, 6, 3)
    assert Region(4, -5, 100, 8).intersection(first) == Region(4, 0, 6, 3)
    assert first.intersection(Region(10, 0, 5, 5)) is None  # touching is not overlapping
    assert first.intersection(Region(0, 11, 5, 5)) is None
    assert first.intersection(first) == first


@pytest.mark.parametrize(
    ("mpp", "label"),
    [
        (0.125, 80),
        (0.25, 40),
        (0.2274, 40),
        (0.2325, 40),
        (0.499, 20),
        (0.54, 20),
        (0.56, None),
        (0.35, None),
        (1.0, 10),
        (2.1, 5),
        (4.0, None),
        (None, None),
    ],
)
def test_magnification(mpp: float | None, label: int | None) -> None:
    assert magnification(mpp) == label


def test_words_for_a_resolution() -> None:
    assert describe_resolution(0.243, 1) == "0.243 µm/px (40×)"
    assert describe_resolution(0.35, 1) == "0.350 µm/px"
    assert describe_resolution(0.25, math.sqrt(2)) == "0.354 µm/px"
    assert describe_resolution(None, 0.5) == "downsample 0.5"
