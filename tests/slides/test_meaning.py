"""What samples, tags and metadata mean: the first reading that comes to mind is often wrong."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_cwtnet.errors import RequestError, SlideError
from napari_cwtnet.slides import open_slide
from slides.test_pyramids import box, picture

RGB = picture(300, 200)
GREY = RGB[..., 1]
PLAIN = {"photometric": "rgb", "metadata": None}


def read(path: Path) -> np.ndarray:
    with open_slide(path) as slide:
        return slide.read(slide.bounds, 1)


def notes(path: Path) -> str:
    with open_slide(path) as slide:
        return "; ".join(slide.notes)


UPRIGHT = {
    2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90,
}  # fmt: skip


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".png", ".webp"])
def test_orientation_is_followed(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":
        tags = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(path, RGB, tile=(64, 128), extratags=tags, **PLAIN)
    else:
        exif = Image.Exif()
        exif[274] = orientation
        options: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {"quality": 98}
        Image.fromarray(RGB).save(path, exif=exif, **options)
    want = UPRIGHT[orientation](RGB)
    got = read(path)
    assert got.shape == want.shape
    assert np.abs(got.astype(int) - want).max() <= (0 if suffix != ".jpg" else 40)
    assert np.abs(got.astype(int) - want).mean() < 2


def test_a_turned_pyramid_keeps_the_levels_that_lie_on_level_0(tmp_path: Path) -> None:
    finest = picture(400, 302)
    for orientation in (3, 6):
        path = tmp_path / f"{orientation}.tif"
        with tifffile.TiffWriter(path) as writer:
            for factor in (1, 2, 4):
                tags = [(274, "H", 1, orientation, True)]
                level = box(finest, factor)
                kind = int(factor > 1)
                writer.write(level, tile=(64, 64), subfiletype=kind, extratags=tags, **PLAIN)
        with open_slide(path) as slide:
            # 302 rows are not four times 75: mirrored, that level begins half a pixel off.
            assert [level.downsample for level in slide.levels] == [1, 2]
            assert "does not begin where level 0 does" in slide.notes[0]
            want = UPRIGHT[orientation](box(finest, 2))
            assert np.array_equal(slide.read(slide.bounds, 2), want)


def test_a_channel_that_is_no_alpha_is_not_laid_on_white(tmp_path: Path) -> None:
    infrared = np.dstack([RGB, 255 - GREY])
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, infrared, extrasamples=["unspecified"], **PLAIN)
    assert np.array_equal(read(path), RGB)
    assert "is not alpha and is not shown" in notes(path)
    options = {"photometric": "minisblack", "planarconfig": "contig", "metadata": None}
    two = np.dstack([GREY, 255 - GREY])
    tifffile.imwrite(tmp_path / "b.tif", two, extrasamples=["unspecified"], **options)
    with pytest.raises(SlideError, match=r"unsupported kind of image \(2 channels\)"):
        open_slide(tmp_path / "b.tif")


def test_significant_bits_scale_every_level(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    deep = [level[..., 1].astype(np.uint16) * 16 for level in (RGB, box(RGB, 2))]
    options: dict[str, Any] = {"photometric": "minisblack", "tile": (64, 64)}
    with tifffile.TiffWriter(path, ome=True) as writer:
        metadata = {"axes": "YX", "SignificantBits": 12}
        writer.write(deep[0], subifds=1, metadata=metadata, **options)
        writer.write(deep[1], subfiletype=1, **options)
    with open_slide(path) as slide:
        assert slide.notes == ()
        for factor in (1, 2):
            want = np.rint(box(RGB, factor)[..., 1] * 16.0 * 255 / 4095)
            assert np.abs(slide.read(slide.bounds, factor)[..., 0] - want).max() <= 1


def test_the_range_of_level_0_is_that_of_all_levels(tmp_path: Path) -> None:
    tags = [("MaxSampleValue", "H", 1, 4095, True)]
    for first in (True, False):
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            for factor in (1, 2):
                level = box(RGB, factor).astype(np.uint16) * 16
                stated = tags if (factor == 1) is first else ()
                writer.write(
                    level, tile=(64, 64), subfiletype=factor - 1, extratags=stated, **PLAIN
                )
        with open_slide(tmp_path / "a.tif") as slide:
            means = [slide.read(slide.bounds, factor).mean() for factor in (1, 2)]
        assert means[0] == pytest.approx(means[1], rel=0.02)


def test_a_range_that_is_hardly_used_is_told(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB.astype(np.uint16) * 16, **PLAIN)
    Image.fromarray(GREY.astype(np.uint16) * 16).save(tmp_path / "b.png")
    tifffile.imwrite(tmp_path / "c.tif", RGB.astype(np.uint32), **PLAIN)
    for name, words in (("a.tif", "of 65535"), ("b.png", "of 65535"), ("c.tif", "of 4294967295")):
        assert words in notes(tmp_path / name)
        assert "are shown dark" in notes(tmp_path / name)
    tifffile.imwrite(tmp_path / "d.tif", RGB.astype(np.uint16) * 257, **PLAIN)
    assert notes(tmp_path / "d.tif") == ""


def test_palettes_of_eight_bits_and_of_one_bit(tmp_path: Path) -> None:
    palette = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint16)
    options: dict[str, Any] = {"photometric": "palette", "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", GREY, colormap=palette, **options)
    assert np.array_equal(read(tmp_path / "a.tif"), palette[:, GREY].transpose(1, 2, 0))
    mask = GREY > 128
    colours = [78 * 257, 65535, 0, 65535, 117 * 257, 65535]
    (tmp_path / "b.tif").write_bytes(one_bit_palette(mask, colours))
    want = np.where(mask[..., None], 255, np.array([78, 0, 117]))
    assert np.array_equal(read(tmp_path / "b.tif"), want)


def one_bit_palette(mask: np.ndarray, colours: list[int]) -> bytes:
    """A TIFF that tifffile does not write: one strip of bits, and colours for 0 and 1."""
    data = np.packbits(mask, axis=1).tobytes()
    (height, width), after = mask.shape, 8 + len(data)
    tags = [
        (256, width), (257, height), (258, 1), (259, 1), (262, 3), (273, 8), (277, 1),
        (278, height), (279, len(data)),
    ]  # fmt: skip
    end = after + 2 + 12 * (len(tags) + 1) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    entries += struct.pack("<HHII", 320, 3, 6, end)
    header = b"II*\0" + struct.pack("<I", after)
    directory = struct.pack("<H", len(tags) + 1) + entries + bytes(4)
    return header + data + directory + struct.pack("<6H", *colours)


def test_the_macro_is_not_the_slide_however_large(tmp_path: Path) -> None:
    glass = np.full((400, 400, 3), 200, np.uint8)
    with tifffile.TiffWriter(tmp_path / "striped.tif") as writer:
        writer.write(glass, rowsperstrip=64, **PLAIN)
        writer.write(RGB, tile=(64, 64), **PLAIN)
    with tifffile.TiffWriter(tmp_path / "named.tif") as writer:
        writer.write(RGB, tile=(64, 64), **PLAIN)
        writer.write(glass, tile=(64, 64), description="Macro image", **PLAIN)
    with tifffile.TiffWriter(tmp_path / "ome.ome.tif", ome=True) as writer:
        writer.write(glass, tile=(64, 64), photometric="rgb", metadata={"Name": "macro"})
        writer.write(RGB, tile=(64, 64), photometric="rgb", metadata={"Name": "slide"})
    for path in sorted(tmp_path.iterdir()):
        assert np.array_equal(read(path), RGB)
        said = notes(path)
        assert "the file has 2 images; shown is number" in said
        assert ", 300 × 200 pixels" in said.partition(", not ")[0]
        assert "not 400 × 400 pixels" in said
        with open_slide(path) as slide:
            other = 1 - slide.image
        with open_slide(path, image=other) as slide:
            assert np.array_equal(slide.read(slide.bounds, 1), glass)
            assert slide.image == other
            assert slide.images[other].startswith("400 × 400 pixels")
        with pytest.raises(RequestError, match="images 0 to 1; choose another"):
            open_slide(path, image=2)


def test_planes_of_a_stack_are_images(tmp_path: Path) -> None:
    stack = np.stack([RGB, 255 - RGB, RGB // 2])
    options = {"photometric": "rgb", "tile": (64, 64), "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", stack, **options)
    with pytest.raises(SlideError, match=r"is a stack .* or choose it by --image 0 to 2"):
        open_slide(tmp_path / "a.tif")
    for number, plane in enumerate(stack):
        with open_slide(tmp_path / "a.tif", image=number) as slide:
            assert np.array_equal(slide.read(slide.bounds, 1), plane)
            assert f"plane {number} of 3" in slide.images[number]


def test_a_file_of_a_multi_file_ome_tiff_shows_its_own_plane(tmp_path: Path) -> None:
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'UUID="urn:uuid:1"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" '
        'Type="uint8" SizeX="300" SizeY="200" SizeZ="3" SizeC="3" SizeT="1">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="3"/>'
        + "".join(
            f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">'
            f"urn:uuid:{z + 1}</UUID></TiffData>"
            for z, name in enumerate(("a.ome.tif", "pipe.ome.tif", "/etc/hostname"))
        )
        + "</Pixels></Image></OME>"
    )
    os.mkfifo(tmp_path / "pipe.ome.tif")  # would be waited for
    tifffile.imwrite(
        tmp_path / "a.ome.tif", RGB, photometric="rgb", tile=(64, 64), description=xml,
        metadata=None,
    )  # fmt: skip
    assert np.array_equal(read(tmp_path / "a.ome.tif"), RGB)
    assert "one of 3 of an OME-TIFF; the others are not opened" in notes(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("suffix", [".mrxs", ".vsi"])
def test_a_picture_of_the_glass_is_no_slide(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"moved{suffix}"
    if suffix == ".mrxs":
        Image.fromarray(RGB).save(path, format="JPEG")
    else:
        with path.open("wb") as file:
            tifffile.imwrite(file, RGB, **PLAIN)
    with pytest.raises(SlideError, match=r"only an overview picture: the .*moved"):
        open_slide(path)


def write_zarr(path: Path, image: np.ndarray, **attributes: Any) -> Path:
    """Two levels, axes c, y, x and pixels of 1 µm before any other scale."""
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    datasets = []
    for number, factor in enumerate((1, 2)):
        level = np.ascontiguousarray(box(image, factor).transpose(2, 0, 1))
        array = group.create_array(
            str(number), shape=level.shape, chunks=(3, 64, 64), dtype="uint8"
        )
        array[:] = level
        scale = [{"type": "scale", "scale": [1.0, factor, factor]}]
        datasets.append({"path": str(number), "coordinateTransformations": scale})
    space = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    axes = [{"name": "c", "type": "channel"}, *space]
    whole = {"version": "0.4", "axes": axes, "datasets": datasets}
    group.attrs["multiscales"] = [whole | attributes.pop("multiscales", {})]
    group.attrs.update(attributes)
    return path


def test_the_scale_of_a_whole_zarr_comes_after_that_of_its_levels(tmp_path: Path) -> None:
    whole = [{"type": "scale", "scale": [1.0, 0.25, 0.25]}]
    path = write_zarr(tmp_path / "a.zarr", RGB, multiscales={"coordinateTransformations": whole})
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx(0.25)


def channels(*colours: str) -> dict[str, Any]:
    return {"channels": [{"color": colour, "label": "?"} for colour in colours]}


def test_channels_of_a_zarr_are_the_colours_that_it_gives_them(tmp_path: Path) -> None:
    blue_first = channels("0000ff", "00FF00", "FF0000")
    path = write_zarr(tmp_path / "bgr.zarr", RGB[..., ::-1], omero=blue_first)
    assert np.array_equal(read(path), RGB)
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(slide.bounds, 2), box(RGB, 2))
    stains = write_zarr(tmp_path / "stains.zarr", RGB, omero=channels("FF00FF", "00FFFF", "FFFF00"))
    with pytest.raises(SlideError, match="multi-channel image, whose channels are shown in FF00FF"):
        open_slide(stains)


@pytest.mark.parametrize(("version", "axes"), [("0.3", list("cyx")), ("0.1", None)])
def test_old_zarrs_have_no_pixel_size(tmp_path: Path, version: str, axes: list[str] | None) -> None:
    path = tmp_path / "old.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    level = RGB.transpose(2, 0, 1) if axes else RGB.transpose(2, 0, 1)[None, :, None]
    array = group.create_array("0", shape=level.shape, chunks=level.shape, dtype="uint8")
    array[:] = level
    about = {"version": version, "datasets": [{"path": "0"}]} | ({"axes": axes} if axes else {})
    group.attrs["multiscales"] = [about]
    assert np.array_equal(read(path), RGB)
    with open_slide(path) as slide:
        assert slide.mpp is None


def test_ome_xml_of_another_size_is_not_believed(tmp_path: Path) -> None:
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" SizeX="300" SizeY="200" SizeC="3" SizeZ="1" SizeT="1" Type="uint8" '
        'DimensionOrder="XYCZT" {}><Channel ID="Channel:0" SamplesPerPixel="3"/><TiffData/>'
        "</Pixels></Image></OME>"
    )
    options: dict[str, Any] = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, RGB, description=xml.format(""), **PLAIN, **options)
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx(0.5)
    other = xml.replace('SizeX="300"', 'SizeX="301"').format('PhysicalSizeX="1" PhysicalSizeY="1"')
    tifffile.imwrite(path, RGB, description=other, **PLAIN, **options)
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx(0.5)


def test_mpp_of_a_description_in_json(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB, description='{"mpp": 0.25, "x": 1}', **PLAIN)
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.mpp == pytest.approx(0.25)


def test_a_quarter_turn_turns_the_pixels_too(tmp_path: Path) -> None:
    options: dict[str, Any] = {"resolution": (40000, 20000), "resolutionunit": "CENTIMETER"}
    for orientation, aspect, sides in (
        (1, 2, "0.25 × 0.5"),
        (3, 2, "0.25 × 0.5"),
        (6, 0.5, "0.5 × 0.25"),
    ):
        tags = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(tmp_path / "a.tif", RGB, extratags=tags, **PLAIN, **options)
        with open_slide(tmp_path / "a.tif") as slide:
            assert slide.pixel_aspect == pytest.approx(aspect)
            assert slide.mpp_note == f"pixels are not square: {sides} µm"
        with open_slide(tmp_path / "a.tif", mpp=0.3) as slide:
            assert slide.pixel_aspect == 1


def test_what_is_not_used_or_not_square_is_noted(tmp_path: Path) -> None:
    options: dict[str, Any] = {"resolution": (40000, 20000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "a.tif", RGB, **PLAIN, **options)
    assert notes(tmp_path / "a.tif") == "pixels are not square: 0.25 × 0.5 µm"
    Image.fromarray(RGB).save(tmp_path / "b.png", icc_profile=b"no profile" * 20)
    assert "ICC profile is not applied" in notes(tmp_path / "b.png")
    with open_slide(tmp_path / "a.tif", mpp=0.5) as slide:
        assert slide.notes == ()


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.svs"
    os.mkfifo(pipe)
    with pytest.raises(SlideError, match="is not a file"):
        open_slide(pipe)
    with pytest.raises(SlideError, match="is not a file"):
        open_slide("/dev/null")
    for name in ("a" * 300 + ".svs", "nul\0.svs"):
        with pytest.raises(SlideError, match="cannot be opened"):
            open_slide(tmp_path / name)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(SlideError, match="does not exist"):
        open_slide(tmp_path / "file" / "a.svs")
