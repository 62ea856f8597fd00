"""Samples are matched over levels, and training and test samples keep apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from slides.pattern import pattern, write_ome

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import open_slide
from napari_cwtnet.training.dataset import Place, read_places
from napari_cwtnet.training.samples import (
    Sample,
    SampleLevel,
    grid,
    levels_agree,
    sample_levels,
    split_samples,
    square_at,
)

LEVELS = (
    SampleLevel(40, 1, 1024, True),
    SampleLevel(20, 2, 512, True),
    SampleLevel(10, 4, 256, True),
)


def row_of(count: int, slide: int = 0, stride: float = 1280) -> list[Sample]:
    return [Sample(slide, Region(i * stride, 0, 1024, 1024)) for i in range(count)]


def test_levels_by_magnification(tmp_path: Path) -> None:
    with open_slide(write_ome(tmp_path / "s.ome.tif", mpp=0.243)) as slide:
        assert sample_levels(slide, [10, 40, 20]) == LEVELS
        two = sample_levels(slide, [20, 5])
    assert two == (SampleLevel(20, 2, 1024, True), SampleLevel(5, 8, 256, False))


@pytest.mark.parametrize(
    ("mpp", "message"),
    [(0.5, r"has 20× at its finest; 40× cannot"), (0.35, r"has 0\.35 µm per pixel, which is none")],
)
def test_slide_without_the_magnification_is_refused(
    tmp_path: Path, mpp: float, message: str
) -> None:
    path = write_ome(tmp_path / "s.ome.tif", mpp=mpp)
    with open_slide(path) as slide, pytest.raises(TrainingError, match=message):
        sample_levels(slide, [40, 20])


def test_squares_begin_at_whole_pixels_of_every_level() -> None:
    assert square_at(101.7, 6.1, LEVELS) == Region(100, 8, 1024, 1024)


def test_grid_keeps_the_guard_band_everywhere() -> None:
    squares = grid(Region(0, 0, 3584, 2303), LEVELS)
    assert [s.x for s in squares] == [0, 1280, 2560]
    assert len(grid(Region(0, 0, 3583, 2304), LEVELS)) == 4
    assert grid(Region(0, 0, 1023, 5000), LEVELS) == []


def test_one_in_six_by_place_from_the_right() -> None:
    samples, near = split_samples(row_of(12), [256], 0)
    assert near == 0
    assert [sample.region.x / 1280 for sample in samples if sample.test] == [10, 11]
    assert len(samples) == 12


def test_training_samples_near_a_test_sample_are_left_out() -> None:
    samples, near = split_samples(row_of(12, stride=500), [256], 0)
    tested = [sample.region for sample in samples if sample.test]
    assert [region.x for region in tested] == [5000, 5500]
    assert near == 2
    assert max(s.region.right for s in samples if not s.test) == 4524 <= 5000 - 256


def test_one_in_six_by_slide() -> None:
    many = [sample for slide in range(12) for sample in row_of(3, slide)]
    samples, near = split_samples(many, [256] * 12, 3)
    tested = {sample.slide for sample in samples if sample.test}
    assert len(tested) == 2
    assert near == 0
    assert all(sample.test == (sample.slide in tested) for sample in samples)
    assert samples == split_samples(many, [256] * 12, 3)[0]


def test_levels_that_show_another_place_disagree() -> None:
    images = [np.rint(pattern(Region(0, 0, 512, 512), d)).astype(np.uint8) for d in (1, 2, 4)]
    assert levels_agree(images)
    assert not levels_agree([images[0], images[1][::-1], images[2]])
    assert not levels_agree([images[0], images[1], np.full_like(images[2], 9)])


@pytest.mark.parametrize("head", ["", "slide,x,y,label\n"])
def test_places(tmp_path: Path, head: str) -> None:
    path = tmp_path / "places.csv"
    path.write_text(head + "a,10,20.5,tumour\nb.svs,3,4\n\n")
    a, b = Path("data/a.svs"), Path("data/b.svs")
    assert read_places(path, [a, b]) == {a: [Place(10, 20.5, "tumour")], b: [Place(3, 4)]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,1", r"line 2: 'a,1' is not SLIDE,X,Y\[,LABEL\] in level-0 pixels\."),
        ("a,1,nan", r"line 2: 'a,1,nan' is not SLIDE"),
        ("a,x,y", r"line 2: 'a,x,y' is not SLIDE"),
        ("c,1,2", r"line 2: slide 'c' is not among those given; name it"),
    ],
)
def test_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "places.csv"
    path.write_text(f"a,1,2\n{line}\n")
    with pytest.raises(TrainingError, match=message):
        read_places(path, [Path("a.svs")])
    with pytest.raises(TrainingError, match=r"none\.csv cannot be read: No such file"):
        read_places(tmp_path / "none.csv", [])
