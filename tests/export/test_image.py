"""Computed images on disk open elsewhere, at the right size, and say what they are."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image, ImageCms
from slides.pattern import pattern

from napari_cwtnet.errors import CancelledError, OutputError
from napari_cwtnet.export import (
    check_mark,
    check_output,
    export_image,
    labelled,
    save_image,
    save_mark,
    side_by_side,
)
from napari_cwtnet.export.inspection_folder import save_map
from napari_cwtnet.export.save import with_badge
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection import Map
from napari_cwtnet.slides import open_slide

RECORD = {
    "computed": True,
    "badge": "COMPUTED ×4 · 0.125 µm/px from native 0.5 · a · research use only",
    "model": "a",
    "region": [100.0, 60.5, 1301 / 4, 701 / 4],
    "output_downsample": 0.25,
    "icc_to_srgb": True,
}
PLACE = ((100 - 0.5 + 0.125) * 0.5, (60.5 - 0.5 + 0.125) * 0.5)
"""Centre of the first pixel, x and y in µm from that of the slide's."""


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


def test_ome_tiff_says_where_it_is_and_what(tmp_path: Path, image: np.ndarray) -> None:
    path = tmp_path / "out.ome.tif"
    save_image(path, image, RECORD, 0.125)
    with tifffile.TiffFile(path) as tiff:
        xml = ElementTree.fromstring(tiff.ome_metadata or "")
        profile = tiff.pages[0].tags["InterColorProfile"].value
    (pixels,) = (node for node in xml.iter() if node.tag.endswith("}Pixels"))
    (plane,) = (node for node in xml.iter() if node.tag.endswith("}Plane"))
    assert [float(pixels.get(f"PhysicalSize{axis}", 0)) for axis in "XY"] == [0.125, 0.125]
    assert [float(plane.get(f"Position{axis}", 0)) for axis in "XY"] == list(PLACE)
    assert {plane.get(f"Position{axis}Unit") for axis in "XY"} == {"µm"}
    notes = {node.get("K"): node.text for node in xml.iter() if node.tag.endswith("}M")}
    assert notes["badge"] == RECORD["badge"]
    assert json.loads(notes["region"]) == RECORD["region"]
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    with openslide.OpenSlide(path) as other:  # reads the tags, not OME
        assert float(other.properties["openslide.mpp-x"]) == pytest.approx(0.125)
        seen = np.asarray(other.read_region((40, 30), 0, (300, 200)).convert("RGB"))
        assert np.array_equal(seen, image[30:230, 40:340])
    with open_slide(path) as slide:
        assert slide.icc
        assert np.array_equal(slide.read(slide.bounds, 1), image)
        assert slide.computed == RECORD["badge"]
        assert slide.computed_place == (Region(*RECORD["region"]), 0.25)


def test_colours_that_nobody_converted_have_no_profile(tmp_path: Path, image: np.ndarray) -> None:
    for name in ("out.ome.tif", "out.png"):
        save_image(tmp_path / name, image, RECORD | {"icc_to_srgb": False}, 0.125)
        with open_slide(tmp_path / name) as slide:
            assert slide.icc_profile is None


def test_progress_is_told_and_may_stop_the_writing(tmp_path: Path, image: np.ndarray) -> None:
    for name in ("out.ome.tif", "out.ome.zarr", "out.png"):
        told: list[tuple[int, int]] = []
        save_image(
            tmp_path / name, image, RECORD, 0.125, lambda *parts, told=told: told.append(parts)
        )
        assert told == [(number, told[0][1]) for number in range(1, told[0][1] + 1)]

        def stop(done: int, total: int) -> None:
            raise CancelledError("enough")

        with pytest.raises(CancelledError):
            save_image(tmp_path / f"not-{name}", image, RECORD, 0.125, stop)
    assert {path.name for path in tmp_path.iterdir()} == {"out.ome.tif", "out.ome.zarr", "out.png"}


def test_png_keeps_pixels_and_provenance(tmp_path: Path, image: np.ndarray) -> None:
    path = tmp_path / "out.png"
    save_image(path, image, RECORD, 0.125)
    with Image.open(path) as picture:
        assert np.array_equal(np.asarray(picture), image)
        assert json.loads(picture.text["Comment"]) == RECORD
        assert picture.info["dpi"][0] == pytest.approx(25_400 / 0.125, rel=1e-3)


@pytest.mark.parametrize("name", ["out.ome.tif", "out.ome.zarr", "out.png"])
def test_pixels_that_are_not_square_stay_so(tmp_path: Path, image: np.ndarray, name: str) -> None:
    save_image(tmp_path / name, image, RECORD | {"pixel_aspect": 2.0}, 0.1875)
    with open_slide(tmp_path / name) as slide:
        assert slide.mpp == pytest.approx(0.1875, rel=1e-3)
        assert slide.pixel_aspect == pytest.approx(2, rel=1e-3)
        assert (slide.mpp_note or "").startswith("pixels are not square: 0.125")
    if name == "out.ome.tif":
        with tifffile.TiffFile(tmp_path / name) as tiff:
            xml = tiff.ome_metadata or ""
        x, y = PLACE
        for words in ('PhysicalSizeX="0.125"', 'PhysicalSizeY="0.25"'):
            assert words in xml
        assert f'PositionX="{x / 0.5 * 0.5}"' in xml
        assert f'PositionY="{y / 0.5}"' in xml
        with openslide.OpenSlide(tmp_path / name) as other:
            sides = [float(other.properties[f"openslide.mpp-{axis}"]) for axis in "xy"]
        assert sides == pytest.approx([0.125, 0.25])
    if name == "out.ome.zarr":
        ome = json.loads((tmp_path / name / "zarr.json").read_text("utf-8"))["attributes"]["ome"]
        finest, coarser = (
            one["coordinateTransformations"] for one in ome["multiscales"][0]["datasets"][:2]
        )
        assert finest[0]["scale"] == [1.0, 0.25, 0.125]
        assert coarser[0]["scale"] == [1.0, 0.5, 0.25]
        assert finest[1]["translation"] == [0.0, PLACE[1] / 0.5, PLACE[0]]
        assert coarser[1]["translation"] == [0.0, PLACE[1] / 0.5 + 0.125, PLACE[0] + 0.0625]


def test_maps_of_pixels_that_are_not_square_stay_so(tmp_path: Path) -> None:
    values, place = np.zeros((30, 40), np.float32), Region(100, 60, 160, 120)
    found = Map("spread", "Spread", "Means.", "grey levels", values, 0, 20, "heat", place, 4)
    path = tmp_path / "map.ome.tif"
    known = {"badge": "COMPUTED", "native_mpp": 0.1875, "pixel_aspect": 2.0}
    save_map(path, found, known)
    with tifffile.TiffFile(path) as tiff:
        xml = ElementTree.fromstring(tiff.ome_metadata or "")
    (pixels,) = (node for node in xml.iter() if node.tag.endswith("}Pixels"))
    (plane,) = (node for node in xml.iter() if node.tag.endswith("}Plane"))
    # Pixels of level 0 are 0.125 × 0.25 µm; the first value's centre is 1.5 of them further in.
    assert [float(pixels.get(f"PhysicalSize{axis}", 0)) for axis in "XY"] == [0.5, 1.0]
    assert [float(plane.get(f"Position{axis}", 0)) for axis in "XY"] == [101.5 / 8, 61.5 / 4]


def test_the_name_may_be_text(tmp_path: Path, image: np.ndarray) -> None:
    save_image(str(tmp_path / "a.png"), image, RECORD, 0.125)
    export_image(str(tmp_path / "b.png"), image, RECORD, 0.125)
    for name in "ab":
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"{name}.png")), image)


def test_without_a_pixel_size(tmp_path: Path, image: np.ndarray) -> None:
    for name in ("out.png", "out.ome.tif"):
        save_image(tmp_path / name, image, RECORD, None)
        with open_slide(tmp_path / name) as slide:
            assert slide.mpp is None


@pytest.mark.parametrize("name", ["out.jpg", "out.tif", "out", "no/out.png", "x" * 300 + ".png"])
def test_refused_before_work_begins(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=name.split("/", maxsplit=1)[0]):
        check_output(tmp_path / name)


def test_sidecar_and_badge(tmp_path: Path, image: np.ndarray) -> None:
    figures = {"psnr": math.inf, "ssim": 0.9}
    path = tmp_path / "out.png"
    export_image(path, image, RECORD, 0.125, badge_on_pixels=True, figures=figures)
    record = json.loads((tmp_path / "out.png.json").read_text(encoding="utf-8"))
    assert {key: record[key] for key in RECORD} == RECORD
    assert record["quality"] == {"psnr": None, "ssim": 0.9}
    assert record["output_size"] == [1301, 701]
    assert record["badge_on_pixels"] is True
    assert record["versions"].keys() > {"python", "napari-cwtnet", "torch", "numpy"}
    with Image.open(path) as picture:
        seen = np.asarray(picture)
    assert seen.shape == image.shape
    changed = np.flatnonzero((seen != image).any(axis=(1, 2)))
    assert changed[0] == 0
    assert changed[-1] < 60  # a strip at the upper edge, no more
    with pytest.raises(OutputError, match=r"PNG pictures only"):
        export_image(tmp_path / "out.ome.tif", image, RECORD, 0.125, badge_on_pixels=True)
    assert not (tmp_path / "out.ome.tif").exists()


def test_the_record_replaces_an_older_one_and_nobody_else_s(
    tmp_path: Path, image: np.ndarray
) -> None:
    path, record = tmp_path / "out.png", tmp_path / "out.png.json"
    for _ in range(2):
        export_image(path, image, RECORD, 0.125)
    record.write_text('{"objects": []}')  # annotations of another program
    path.unlink()
    with pytest.raises(OutputError, match=r"record in out\.png\.json, which is there"):
        export_image(path, image, RECORD, 0.125)
    assert record.read_text() == '{"objects": []}'
    assert not path.exists()


@pytest.mark.parametrize("name", ["out.png", "out.ome.tif", "out.ome.zarr"])
def test_no_mask_outlives_its_image(tmp_path: Path, image: np.ndarray, name: str) -> None:
    path, mask = tmp_path / name, tmp_path / f"{name}.marked.png"

    def stop(done: int, total: int) -> None:
        raise CancelledError("stopped")

    export_image(path, image, RECORD, 0.125)
    save_mark(path, np.ones((88, 163), bool), image, RECORD, 0.125)
    check_mark(path)
    with pytest.raises(CancelledError):
        export_image(path, image[::-1], RECORD, 0.125, progress=stop)
    assert mask.exists()  # with the image that it is of
    export_image(path, image[::-1], RECORD, 0.125)
    assert not mask.exists()


@pytest.mark.parametrize("kind", ["text", "grey", "computed picture"])
def test_another_s_file_of_the_mask_s_name_stays(
    tmp_path: Path, image: np.ndarray, kind: str
) -> None:
    path, other = tmp_path / "out.png", tmp_path / "out.png.marked.png"
    if kind == "text":
        other.write_text("not to be relied on")
    elif kind == "grey":
        Image.fromarray(image[..., 0]).save(other)
    else:
        save_image(other, image, RECORD, 0.125)
    before = other.read_bytes()
    export_image(path, image, RECORD, 0.125)
    assert other.read_bytes() == before
    with pytest.raises(OutputError, match=r"mask in out\.png\.marked\.png, which is there"):
        check_mark(path)


def test_each_level_s_tags_say_its_exact_pixel_size(tmp_path: Path, image: np.ndarray) -> None:
    save_image(tmp_path / "out.ome.tif", image, RECORD, 0.125)
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as tiff:
        pages = [tiff.pages[0], *tiff.pages[0].pages]
    found = [
        10_000 / (page.tags["XResolution"].value[0] / page.tags["XResolution"].value[1])
        for page in pages
    ]
    assert found == pytest.approx([0.125, 0.25, 0.5], rel=1e-6)


@pytest.mark.parametrize("width", [1301, 200, 40])
def test_the_badge_stays_within_the_picture(image: np.ndarray, width: int) -> None:
    small = image[:, :width]
    seen = with_badge(small, RECORD["badge"])
    ink = (seen > 180).all(axis=2) & (seen != small).any(axis=2)
    assert ink.any()
    assert not ink[:, -1].any()
    assert not np.shares_memory(seen, small)


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
