"""Kinds of TIFF that are not slides of a scanner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_cwtnet.errors import SlideError
from napari_cwtnet.slides import open_slide
from slides.pattern import stored, write_ome, write_tiff

RGB = stored(1)
GREY = RGB[..., 0]
OPTIONS = {"metadata": None}


def read(path: Path) -> np.ndarray:
    with open_slide(path) as slide:
        return slide.read(slide.bounds, 1)


LAYOUTS = {
    "strips": {"rowsperstrip": 7},
    "one strip": {"rowsperstrip": 517},
    "high strips": {"rowsperstrip": 300, "compression": "zlib"},
    "tiles": {"tile": (64, 128), "compression": "deflate", "predictor": True},
    "lzw": {"tile": (256, 256), "compression": "lzw"},
    "zstd": {"rowsperstrip": 16, "compression": "zstd"},
    "jpeg2000": {"tile": (256, 256), "compression": "jpeg2000"},
    "big": {"tile": (128, 128), "bigtiff": True},
    "big-endian": {"tile": (128, 128), "byteorder": ">"},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_pixels(tmp_path: Path, name: str) -> None:
    options = {"photometric": "rgb", **OPTIONS, **LAYOUTS[name]}
    tifffile.imwrite(tmp_path / "a.tif", RGB, **options)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), RGB)


def test_jpeg_tiles_share_their_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    options = {"tile": (128, 128), "compression": "jpeg", "compressionargs": {"level": 95}}
    whole = RGB[:512, :640]
    tifffile.imwrite(path, whole, photometric="rgb", **options, **OPTIONS)
    assert np.abs(read(path).astype(int) - whole).max() <= 12


def test_separate_planes(tmp_path: Path) -> None:
    for layout in ({"tile": (128, 128)}, {"rowsperstrip": 50}):
        path = tmp_path / "a.tif"
        planes = np.ascontiguousarray(RGB.transpose(2, 0, 1))
        tifffile.imwrite(
            path, planes, photometric="rgb", planarconfig="separate", **layout, **OPTIONS
        )
        np.testing.assert_array_equal(read(path), RGB)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_greyscale(tmp_path: Path, photometric: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric=photometric, **OPTIONS)
    want = GREY if photometric == "minisblack" else 255 - GREY
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), np.dstack([want] * 3))


def test_sixteen_bits_are_scaled_by_their_range(tmp_path: Path) -> None:
    deep = RGB.astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", tile=(128, 128), **OPTIONS)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), RGB)
    twelve = ((GREY.astype(np.uint32) * 4095 + 127) // 255).astype(np.uint16)
    tags = [("MaxSampleValue", "H", 1, 4095, True)]
    tifffile.imwrite(tmp_path / "b.tif", twelve, photometric="minisblack", extratags=tags)
    assert np.abs(read(tmp_path / "b.tif")[..., 0].astype(int) - GREY).max() <= 1


def test_one_bit(tmp_path: Path) -> None:
    mask = GREY > 128
    tifffile.imwrite(tmp_path / "a.tif", mask, photometric="minisblack", **OPTIONS)
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[..., 1], mask * np.uint8(255))


def test_palette(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    palette = rng.integers(0, 256, (3, 256)).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="palette", colormap=palette, **OPTIONS)
    want = (palette[:, GREY] // 257).transpose(1, 2, 0)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), want)


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_alpha_is_laid_on_white(tmp_path: Path, kind: str) -> None:
    alpha = np.zeros_like(GREY)
    alpha[:, 300:500] = 128
    alpha[:, 500:] = 255
    rgb = RGB if kind == "unassalpha" else np.rint(RGB * (alpha / 255)[..., None]).astype(np.uint8)
    pixels = np.dstack([rgb, alpha])
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=[kind], **OPTIONS)
    got = read(tmp_path / "a.tif").astype(int)
    assert (got[:, :300] == 255).all()
    half = 255 + (RGB[:, 300:500] - 255.0) * 128 / 255
    assert np.abs(got[:, 300:500] - half).max() <= 1.5
    np.testing.assert_array_equal(got[:, 500:], RGB[:, 500:])


def test_the_largest_image_is_the_slide(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(RGB[:50, :60], photometric="rgb", **OPTIONS)
        writer.write(RGB, photometric="rgb", tile=(128, 128), **OPTIONS)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), RGB)


def test_tiles_that_were_never_written_are_white(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", (1,))
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages[0].tags["TileByteCounts"]
        tag.overwrite([0, *tag.value[1:]])
    got = read(path)
    assert (got[:128, :128] == 255).all()
    np.testing.assert_array_equal(got[:, 128:], RGB[:, 128:])


UNSUPPORTED = {
    "z-stack": (np.stack([GREY] * 5), {"photometric": "minisblack"}, "5 .* × 517 Y × 731 X"),
    "channels": (
        np.stack([GREY] * 4, axis=2),
        {"photometric": "minisblack", "planarconfig": "contig"},
        r"unsupported kind of image \(4 channels\)",
    ),
    "float": (
        GREY.astype(np.float32), {"photometric": "minisblack"},
        r"unsupported kind of image \(samples of type float32\)",
    ),
    "lab by 16 bits": (
        RGB.astype(np.uint16), {"photometric": "cielab"},
        r"unsupported kind of image \(colour model CIELAB of 16 bits\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_unsupported_is_said(tmp_path: Path, name: str) -> None:
    pixels, options, message = UNSUPPORTED[name]
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options, **OPTIONS)
    with pytest.raises(SlideError, match=message) as caught:
        open_slide(tmp_path / "a.tif")
    assert "\n" not in str(caught.value)
    assert "RGB or greyscale" in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"imagej": True}])
def test_a_stack_in_one_page_is_refused(tmp_path: Path, options: dict[str, bool]) -> None:
    stack = np.stack([GREY] * 3)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", **options)
    with pytest.raises(SlideError, match=r"multi-channel image \(3 . × 517 Y × 731 X"):
        open_slide(tmp_path / "a.tif")


def test_fluorescence_ome_is_refused_with_its_axes(tmp_path: Path) -> None:
    channels = np.stack([GREY] * 3).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.ome.tif", channels, ome=True, metadata={"axes": "CYX"})
    with pytest.raises(SlideError) as caught:
        open_slide(tmp_path / "a.ome.tif")
    assert str(caught.value) == (
        "Slide 'a.ome.tif' is a stack or multi-channel image (3 C × 517 Y × 731 X); "
        "save one plane of it as RGB or greyscale, or choose it by --image 0 to 2 on the "
        "command line."
    )


@pytest.mark.parametrize(
    ("value", "unit", "mpp"), [(0.25, "µm", 0.25), (250, "nm", 0.25), (0.0005, "mm", 0.5)]
)
def test_ome_pixel_size_in_any_unit(tmp_path: Path, value: float, unit: str, mpp: float) -> None:
    with open_slide(write_ome(tmp_path / "a.ome.tif", value, unit)) as slide:
        assert slide.format == "ome-tiff"
        assert slide.mpp == pytest.approx(mpp)
        assert slide.mpp_note is None
        assert [level.downsample for level in slide.levels] == [1, 2, 4]


def test_absurd_ome_pixel_size_is_absent(tmp_path: Path) -> None:
    with open_slide(write_ome(tmp_path / "a.ome.tif", 264.6)) as slide:
        assert slide.mpp is None
        assert slide.mpp_note == (
            "OME PhysicalSizeX says 264.6 µm/px, outside 0.05 to 20 µm/px; "
            "set mpp, in µm per pixel, to use physical sizes"
        )


def test_sane_resolution_tags_are_believed(tmp_path: Path) -> None:
    options = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}
    with open_slide(write_tiff(tmp_path / "a.tif", (1,), **options)) as slide:
        assert slide.mpp == pytest.approx(0.25)


def test_imagej_unit(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", GREY, imagej=True, resolution=(2, 2), metadata={"unit": "um"}
    )
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.mpp == pytest.approx(0.5)
