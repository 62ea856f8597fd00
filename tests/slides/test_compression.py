"""Codecs read out of tiles of known making."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.compression import (
    Encoding,
    compression_of,
    nearest_quality,
    standard_tables,
    tissue_rate,
)
from napari_cwtnet.slides.degradation import Compression
from slides.pattern import stored, write_ome, write_tiff

RGB = stored(1)
SAMPLING = {"444": 0, "422": 1, "420": 2}
UNKNOWN_TO_ALL = [
    b"",
    b"\xff\xd8",
    b"\xff\xd8\xff\xd9",
    b"not a JPEG at all",
    b"\xff\xd8\xff\xdb\xff\xff",
    b"\xff\xd8\xff\xdb\x00\x00",
    b"\xff\xd8\xff\xc0\x00\x05abc",
]


def jpeg(pixels: np.ndarray = RGB, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", **options)
    return stream.getvalue()


def read(data: bytes, tables: bytes = b"") -> Compression | None:
    return compression_of(Encoding("jpeg", tables, (data,)))


@pytest.mark.parametrize("sampling", SAMPLING)
@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 75, 90, 95, 100])
def test_quality_and_sampling_as_they_were_written(quality: int, sampling: str) -> None:
    found = read(jpeg(quality=quality, subsampling=SAMPLING[sampling]))
    assert found == Compression("jpeg", quality, sampling, standard_tables(quality))


def test_progressive_and_greyscale() -> None:
    assert read(jpeg(quality=60, progressive=True)).quality == 60
    grey = read(jpeg(RGB[..., 0], quality=60))
    assert (grey.quality, grey.subsampling) == (60, None)


def test_tables_of_another_encoder_have_the_nearest_quality() -> None:
    own = [[max(1, v + 1) for v in table] for table in standard_tables(80)]
    assert nearest_quality([tuple(t) for t in own]) in range(76, 81)
    assert nearest_quality([tuple(range(200, 136, -1))]) is None  # coarse for slow waves: nobody's
    rows = [200] * 64
    found = read(jpeg(qtables=[rows, rows]))
    assert found.tables == ((200,) * 64,) * 2


def test_tables_apart_from_the_tile_and_sixteen_bits() -> None:
    whole = jpeg(quality=40)
    scan = whole.index(b"\xff\xc0")
    tables, tile = whole[:scan] + b"\xff\xd9", b"\xff\xd8" + whole[scan:]
    assert read(tile) == Compression("jpeg", None, "420")
    assert read(tile, tables).tables == standard_tables(40)
    deep = b"".join(
        b"\xff\xdb" + struct.pack(">HB64H", 131, 16 + n, *table)
        for n, table in enumerate(standard_tables(40))
    )
    assert read(tile, b"\xff\xd8" + deep).tables == standard_tables(40)


@pytest.mark.parametrize("data", UNKNOWN_TO_ALL)
def test_broken_streams_are_not_known(data: bytes) -> None:
    assert read(data) is None
    for codec in ("jpeg2000", "webp"):
        assert compression_of(Encoding(codec, tiles=(data,))) is None


def test_every_cut_is_known_or_not_but_never_wrong() -> None:
    whole = jpeg(quality=40)
    want = {read(whole), None}
    assert {read(whole[:length]) for length in range(len(whole) // 8)} == want


def test_tables_of_zeros_are_not_known() -> None:
    whole = bytearray(jpeg(quality=40))
    place = whole.index(b"\xff\xdb") + 5
    whole[place : place + 64] = bytes(64)
    assert read(bytes(whole)) is None


def test_jpeg2000_is_lossless_by_its_wavelet() -> None:
    def encoded(**options: Any) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(RGB).save(stream, "JPEG2000", **options)
        return stream.getvalue()

    lossy = Encoding("jpeg2000", tiles=(encoded(irreversible=True),), rate=1.5)
    assert compression_of(lossy) == Compression("jpeg2000", rate=1.5)
    assert compression_of(Encoding("jpeg2000", tiles=(encoded(),))) == Compression("none")


def test_blank_tiles_are_left_out_of_the_rate() -> None:
    assert tissue_rate([10, 0, 10, 1000, 1000, 10], 1000) == 8
    assert tissue_rate([], 1000) is None
    assert tissue_rate([0, 0], 1000) is None


@pytest.mark.parametrize(("quality", "sampling"), [(30, "420"), (85, "444"), (75, "422")])
def test_tiff_with_shared_tables(tmp_path: Path, quality: int, sampling: str) -> None:
    options = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}[sampling]
    path = write_tiff(
        tmp_path / "a.tif",
        compression="jpeg",
        compressionargs={"level": quality},
        subsampling=options,
    )
    with open_slide(path) as slide:
        for level in slide.levels:
            found = level.degradation
            assert found.compression.quality == quality
            assert found.compression.subsampling == sampling
            assert found.compression_source == "read"


def test_sampling_is_that_of_the_stream_whatever_the_tag_says(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", (1,), compression="jpeg", subsampling=(2, 1))
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["YCbCrSubSampling"].overwrite((2, 2))
    with open_slide(path) as slide:
        assert slide.levels[0].degradation.compression.subsampling == "422"


@pytest.mark.parametrize("codec", [None, "zlib", "lzw", "zstd", "lzma", "packbits"])
def test_lossless_tiff(tmp_path: Path, codec: str | None) -> None:
    with open_slide(write_tiff(tmp_path / "a.tif", compression=codec)) as slide:
        assert {level.degradation.compression for level in slide.levels} == {Compression("none")}


def test_plain_images(tmp_path: Path) -> None:
    image, wanted = Image.fromarray(RGB), {}
    for name, options, want in (
        ("a.png", {}, Compression("none")),
        ("a.bmp", {}, Compression("none")),
        ("a.jpg", {"quality": 80}, Compression("jpeg", 80, "420", standard_tables(80))),
        ("a.webp", {"quality": 80}, Compression("other")),
        ("b.webp", {"lossless": True}, Compression("none")),
    ):
        image.save(tmp_path / name, **options)
        wanted[name] = want
    for name, want in wanted.items():
        with open_slide(tmp_path / name) as slide:
            assert slide.levels[0].degradation.compression == want, name


def test_zarr(tmp_path: Path) -> None:
    import zarr

    group = zarr.create_group(str(tmp_path / "a.zarr"), zarr_format=2)
    array = group.create_array(
        "0", shape=RGB.shape, chunks=(256, 256, 3), dtype="uint8", compressors="auto"
    )
    array[:] = RGB
    axes = [{"name": n} for n in "yxc"]
    scale = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    data = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": data}]
    with open_slide(tmp_path / "a.zarr") as slide:
        assert slide.levels[0].degradation.compression == Compression("none")


def test_what_is_shrunk_here_is_bicubic_and_what_is_stored_is_the_files(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", (1, 4), compression="jpeg", compressionargs={"level": 60})
    with open_slide(path) as slide:
        assert slide.degradation(4) == slide.levels[1].degradation
        assert slide.degradation(1).compression.quality == 60
        assert slide.degradation(1).kernel is None
        for found in (slide.degradation(2), slide.degradation(8), slide.degradation(4, source=1)):
            assert str(found.kernel) == "bicubic"
            assert (found.compression, found.sharpening) == (Compression("none"), 0)
            assert found.kernel_source == found.compression_source == "read"


def test_after_closing_and_without_the_file_it_is_not_known(tmp_path: Path) -> None:
    slide = open_slide(write_ome(tmp_path / "a.ome.tif"))
    kept = slide.levels[1].degradation
    slide.close()
    assert slide.levels[1].degradation == kept
    Image.fromarray(RGB).save(tmp_path / "a.jpg")
    with open_slide(tmp_path / "a.jpg") as gone:
        (tmp_path / "a.jpg").unlink()
        assert gone.levels[0].degradation.compression is None


REAL = {
    "slides/cmu1_small_svs/CMU-1-Small-Region.svs": [(30, "444")],
    "slides/prostate_pyramid_tiff/slide.tiff": [(75, "420")] * 6,
    "slides/os2_ometiff/OS-2-vsi.ome.tif": [(75, "420")],
    "slides/stritt_ndpi/test3-DAPI-2-387.ndpi": [(90, "444")] * 4 + [(None, None)] * 3,
    "slides/cmu1_small_dicom": [(90, "420")],
    "slides/tiny_and_broken/boxes_0.dcm": [(30, "444")],
    "slides/tiny_and_broken/small.svs": [(30, "444")],
}


@pytest.mark.parametrize("name", REAL)
def test_real_slides(data_dir: Any, name: str) -> None:
    path = data_dir / name
    path = next(path.glob("*.dcm")) if path.is_dir() else path
    with open_slide(path) as slide:
        found = [slide._backend.encoding(index) for index in range(len(slide.levels))]
        said = [compression_of(one) for one in found]
        assert [(one.quality, one.subsampling) for one in said] == REAL[name]


def test_rate_of_a_jpeg2000_slide(data_dir: Any) -> None:
    path = data_dir / "slides/tcga_cr7395_svs/tcga-cr-7395-01a-01-ts1.svs"
    with open_slide(path) as slide:
        found = compression_of(slide._backend.encoding(0))
    assert found.kind == "jpeg2000"
    assert found.rate == pytest.approx(1.65, abs=0.1)  # Kakadu held each tile to 14,000 bytes
