"""Computed images on disk open elsewhere, at the right size, and say what they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from slides.pattern import pattern

from napari_cwtnet.errors import OutputError
from napari_cwtnet.export import check_output, labelled, save_image, side_by_side
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import open_slide

RECORD = {"computed": True, "badge": "COMPUTED ×4 · 0.125 µm/px", "model": "a"}


@pytest.fixture
def image() -> np.ndarray:
    return np.rint(pattern(Region(0, 0, 1301, 701), 1.0)).astype(np.uint8)


def test_ome_tiff_is_a_pyramid_in_micrometres(tmp_path: Path, image: np.ndarray) -> None:
    path = tmp_path / "out.ome.tif"
    save_image(path, image, RECORD, 0.125)
    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        assert [level.shape for level in series.levels] == [
            (701, 1301, 3), (350, 650, 3), (175, 325, 3),
        ]  # fmt: skip
        assert np.array_equal(series.asarray(), image)
        assert "COMPUTED ×4" in (tiff.ome_metadata or "")
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx(0.125)
        assert [level.downsample for level in slide.levels] == [1, 2, 4]
        quarter = slide.read(Region(0, 0, 1296, 696), 4)
        assert np.abs(quarter - pattern(Region(0, 0, 1296, 696), 4.0)).max() < 2.5


def test_png_keeps_pixels_and_provenance(tmp_path: Path, image: np.ndarray) -> None:
    path = tmp_path / "out.png"
    save_image(path, image, RECORD, 0.125)
    with Image.open(path) as picture:
        assert np.array_equal(np.asarray(picture), image)
        assert json.loads(picture.text["Comment"]) == RECORD
        assert picture.info["dpi"][0] == pytest.approx(25_400 / 0.125, rel=1e-3)


def test_without_a_pixel_size(tmp_path: Path, image: np.ndarray) -> None:
    for name in ("out.png", "out.ome.tif"):
        save_image(tmp_path / name, image, RECORD, None)
        with open_slide(tmp_path / name) as slide:
            assert slide.mpp is None


@pytest.mark.parametrize("name", ["out.jpg", "out.tif", "out", "no/out.png"])
def test_refused_before_work_begins(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=name.split("/", maxsplit=1)[0]):
        check_output(tmp_path / name)


def test_panels_stand_side_by_side_unscaled(image: np.ndarray) -> None:
    first, second = image[:100, :200], image[100:150, :80]
    panels = [
        labelled(first, ["truth", "second line"], computed=False),
        labelled(second, ["COMPUTED"], computed=True),
    ]
    row = side_by_side(panels)
    top = 8 + panels[0].height - 100
    assert np.array_equal(row[top : top + 100, 8:208], first)
    top = 8 + panels[1].height - 50
    assert np.array_equal(row[top : top + 50, 216:296], second)
    assert (row[8 : 8 + 30, 8:208] != 255).any()
