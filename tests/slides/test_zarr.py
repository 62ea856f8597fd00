"""OME-Zarr as a slide: this package's own, known as computed, and those of others."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_cwtnet.errors import RequestError, SlideError
from napari_cwtnet.export import save_image
from napari_cwtnet.geometry import Region, Size
from napari_cwtnet.slides import open_slide
from slides.pattern import pattern, stored

RECORD = {
    "badge": "COMPUTED ×2 · 0.125 µm/px from native 0.25 · a · research use only",
    "region": [100.5, 60.25, 650.5, 350.5],
    "output_downsample": 0.5,
}


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return stored(1, 1301, 701)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, image: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("own") / "out.ome.zarr"
    save_image(path, image, RECORD, 0.125)
    return path


def write_other(
    path: Path, image: np.ndarray, unit: str = "nanometer", dtype: str = "uint8"
) -> Path:
    """As NGFF 0.4 has it: Zarr 2, all five axes, pixels of 250 nm, levels 1 and 4."""
    axes = [
        {"name": "t", "type": "time"}, {"name": "c", "type": "channel"},
        *({"name": axis, "type": "space", "unit": unit} for axis in "zyx"),
    ]  # fmt: skip
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    datasets = []
    for number, factor in enumerate((1, 4)):
        level = image[::factor, ::factor].transpose(2, 0, 1)[None, :, None].astype(dtype)
        array = group.create_array(
            str(number), shape=level.shape, dtype=dtype, chunks=(1, 1, 1, 100, 120)
        )
        array[:] = level
        scale = [1.0, 1.0, 1.0, 250.0 * factor, 250.0 * factor]
        transform = [{"type": "scale", "scale": scale}]
        datasets.append({"path": str(number), "coordinateTransformations": transform})
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return path


def test_one_s_own_is_known_as_computed(own: Path, image: np.ndarray) -> None:
    with open_slide(own) as slide:
        assert slide.format == "ome-zarr"
        assert slide.size == (1301, 701)
        assert slide.mpp == 0.125
        assert [level.downsample for level in slide.levels] == [1, 2, 4]
        assert slide.computed == RECORD["badge"]
        assert slide.computed_place == (Region(100.5, 60.25, 650.5, 350.5), 0.5)
        assert np.array_equal(slide.read(slide.bounds, 1), image)
        quarter = slide.read(Region(0, 0, 1296, 696), 4)
        expected = pattern(Region(0, 0, 1296, 696), 4)
        assert np.abs(quarter - expected)[2:-2, 2:-2].max() < 2
        assert len(slide.fingerprint) == 32


def test_fingerprint_is_the_image_s(own: Path, image: np.ndarray, tmp_path: Path) -> None:
    again, other = tmp_path / "again.ome.zarr", tmp_path / "other.ome.zarr"
    save_image(again, image, RECORD | {"time": "later"}, 0.25)
    save_image(other, 255 - image, RECORD, 0.125)
    with open_slide(own) as first, open_slide(again) as second, open_slide(other) as third:
        assert first.fingerprint == second.fingerprint != third.fingerprint


def test_that_of_others(tmp_path: Path, image: np.ndarray) -> None:
    with open_slide(write_other(tmp_path / "other.zarr", image)) as slide:
        assert slide.mpp == pytest.approx(0.25)
        assert slide.computed is None
        assert [level.downsample for level in slide.levels] == [1, 4]
        assert slide.levels[0].tile == Size(120, 100)
        assert np.array_equal(slide.read(slide.bounds, 1), image)
        part = slide.read(Region(96, 48, 800, 400), 4)
        assert np.array_equal(part, image[48:448:4, 96:896:4])
    with open_slide(write_other(tmp_path / "unitless.zarr", image, unit="")) as slide:
        assert slide.mpp is None
        assert "set mpp" in (slide.mpp_note or "")


def test_what_is_no_image(own: Path, tmp_path: Path, image: np.ndarray) -> None:
    folder = tmp_path / "folder.zarr"
    folder.mkdir()
    with pytest.raises(SlideError, match="is a folder"):
        open_slide(folder)
    with pytest.raises(SlideError, match=r"'0' is not an OME-Zarr image that can be read"):
        open_slide(own / "0")
    deep = write_other(tmp_path / "deep.zarr", image, dtype="uint32")
    with pytest.raises(SlideError, match=r"not one plane of RGB .* \(1 t × 3 c .* uint32"):
        open_slide(deep)
    odd = tmp_path / "odd.ome.zarr"
    save_image(odd, image, RECORD, 0.125)
    about = json.loads((odd / "1" / "zarr.json").read_text(encoding="utf-8"))
    for change in ({"data_type": "int16"}, {"shape": [1, *about["shape"][1:]]}):
        (odd / "1" / "zarr.json").write_text(json.dumps(about | change), encoding="utf-8")
        with pytest.raises(SlideError, match="not one plane of RGB of 8 or 16 bits"):
            open_slide(odd)
    vast = write_other(tmp_path / "vast.zarr", image)
    about = json.loads((vast / "0" / ".zarray").read_text(encoding="utf-8"))
    about["chunks"] = [1, 1, 1, 60_000, 60_000]
    (vast / "0" / ".zarray").write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(SlideError, match="a chunk of 1 × 1 × 1 × 60000 × 60000 samples"):
        open_slide(vast)
    broken = tmp_path / "broken.ome.zarr"
    save_image(broken, image, RECORD, 0.125)
    (broken / "2" / "c" / "0" / "0" / "0").write_bytes(b"no chunk")
    with pytest.raises(SlideError, match=r"broken\.ome\.zarr.*cannot be read at tile 0,0"):
        open_slide(broken)
    about = json.loads((broken / "zarr.json").read_text(encoding="utf-8"))
    image_of = about["attributes"]["ome"]["multiscales"][0]
    for datasets in ([], [image_of["datasets"][0], {"path": ""}]):  # none, and a group
        image_of["datasets"] = datasets
        (broken / "zarr.json").write_text(json.dumps(about), encoding="utf-8")
        with pytest.raises(SlideError, match="not an OME-Zarr image"):
            open_slide(broken)
    (broken / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group"}))
    with pytest.raises(SlideError, match="not an OME-Zarr image"):
        open_slide(broken)


def test_a_zip_of_it_is_read_as_the_folder_is(tmp_path: Path, image: np.ndarray) -> None:
    folder = write_other(tmp_path / "a.zarr", image)
    for name in ("a.ozx", "a::b.ome.zarr.zip"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    archive.write(file, file.relative_to(folder))
        with open_slide(folder) as slide, open_slide(tmp_path / name) as zipped:
            assert zipped.format == "ome-zarr"
            assert zipped.levels == slide.levels
            assert zipped.fingerprint == slide.fingerprint
            np.testing.assert_array_equal(zipped.read(slide.bounds, 1), slide.read(slide.bounds, 1))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("a.txt", "no slide")
    with pytest.raises(SlideError, match="not a slide or image in a format"):
        open_slide(tmp_path / "b.zip")


def test_sixteen_bits_are_scaled_by_their_range(tmp_path: Path, image: np.ndarray) -> None:
    for dtype in ("uint16", ">u2"):
        path = tmp_path / f"{dtype[-2:]}.zarr"
        group = zarr.open_group(str(path), mode="w", zarr_format=2)
        planes = np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.uint16)
        array = group.create_array("0", shape=planes.shape, chunks=(3, 64, 64), dtype=dtype)
        array[...] = planes * 257
        axes = [{"name": axis} for axis in "cyx"]
        group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
        with open_slide(path) as slide:
            np.testing.assert_array_equal(slide.read(slide.bounds, 1), image)
            assert slide.notes == ()
        array[...] = planes  # as of a camera that fills a byte
        with open_slide(path) as slide:
            assert "are shown dark" in slide.notes[0]


def test_series_of_bioformats2raw_are_images(tmp_path: Path, image: np.ndarray) -> None:
    root = tmp_path / "converted.zarr"
    group = zarr.open_group(str(root), mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    for number, one in enumerate((image, image[:100])):
        write_other(root / str(number), one)
    for number, height in ((None, len(image)), (0, len(image)), (1, 100)):
        with open_slide(root, image=number) as slide:
            assert slide.size.height == height
            assert slide.images == ("0", "1")
            assert f"2 images; shown is number {number or 0}" in slide.notes[0]
    with pytest.raises(RequestError, match="images 0 to 1"):
        open_slide(root, image=2)


def test_axes_in_a_coordinate_system(tmp_path: Path, image: np.ndarray) -> None:
    """As NGFF 0.6 has them, with a scale within a sequence."""
    path = tmp_path / "a.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    group.create_array("0", shape=image.shape, chunks=(64, 64, 3), dtype="uint8")[...] = image
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    system = {"name": "physical", "axes": [*axes, {"name": "c", "type": "channel"}]}
    scale = {"type": "scale", "scale": [0.25, 0.25, 1.0]}
    shift = {"type": "translation", "translation": [0.0, 0.0, 0.0]}
    steps = [{"type": "sequence", "transformations": [scale, shift]}]
    datasets = [{"path": "0", "coordinateTransformations": steps}]
    content = {"coordinateSystems": [system], "datasets": datasets}
    group.attrs["ome"] = {"version": "0.6", "multiscales": [content]}
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read(slide.bounds, 1), image)
        assert slide.mpp == 0.25


def test_strange_codecs_are_not_run(tmp_path: Path, image: np.ndarray) -> None:
    path = write_other(tmp_path / "a.zarr", image)
    about = json.loads((path / "0" / ".zarray").read_text(encoding="utf-8"))
    changes = (
        ({"filters": [{"id": "json2"}], "compressor": None}, "not an OME-Zarr|not read"),
        ({"filters": [{"id": "base64"}]}, "encoded by base64, which is not read"),
        ({"filters": [{"id": "zlib"}], "compressor": {"id": "zstd"}}, "compressed more than once"),
        ({"chunks": [1, 1, 1, 0, 0]}, "side of 0|not an OME-Zarr image"),
    )
    for change, said in changes:
        (path / "0" / ".zarray").write_text(json.dumps(about | change), encoding="utf-8")
        with pytest.raises(SlideError, match=said):
            open_slide(path)
