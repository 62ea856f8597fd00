"""Small files that ask for gigabytes are refused before anything is decoded."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_cwtnet.errors import ModelError, SlideError
from napari_cwtnet.model.weights import read_header, read_weights
from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.backends.zarr_store import exceeds

TOOLS = Path(__file__).parents[2] / "tools"
SAID = {
    "strip": "4,800 MB of memory to decode a strip of 40000 × 40000 pixels, more than 537 MB",
    "deep_tile": "a tile of 8192 × 8192 pixels",
    "jpeg2000": "holds a picture of 12000 × 12000 pixels",
    "planes": "1200000000 planes",
    "zarr_zlib": "decodes to more than the 196608 bytes of a chunk",
    "zarr_zstd": "decodes to more than the 196608 bytes of a chunk",
    "zarr_chunk": "a chunk of 3 × 30000 × 30000 samples",
    "missing_tile": "a tile that it leaves out",
}


@pytest.fixture(scope="module")
def tool() -> Any:
    """The module of the tool, which also measures the command line."""
    pytest.importorskip("resource", reason="needs a POSIX system")
    sys.path.insert(0, str(TOOLS))
    try:
        import bombs

        yield bombs
    finally:
        sys.path.remove(str(TOOLS))


@pytest.mark.parametrize("name", SAID)
def test_bombs_are_refused(tool: ModuleType, tmp_path: Path, name: str) -> None:
    if name == "zarr_zlib":  # three gigabytes of zeros take a while
        path = tool._zarr(tmp_path, {"id": "zlib", "level": 1}, tool.nothing(10**7))
    else:
        path = tool.BOMBS[name](tmp_path)
    with pytest.raises(SlideError) as caught:
        open_slide(path)
    assert SAID[name] in str(caught.value)


def test_what_may_be_opened_takes_little_memory(tool: ModuleType, tmp_path: Path) -> None:
    found = tool.measure("info", tool.make("png", tmp_path))
    assert found.code == 0
    assert found.nbytes < tool.MOST_BYTES


def test_a_refusal_takes_little_memory(tool: ModuleType, tmp_path: Path) -> None:
    found = tool.measure("info", tool.make("zarr_zstd", tmp_path))
    assert found.code == 2
    assert found.nbytes > 0 or sys.platform != "linux"
    assert found.nbytes < tool.MOST_BYTES / 2


def test_weights_are_not_read_before_their_header(tool: ModuleType, tmp_path: Path) -> None:
    path = tool.weights(tmp_path)
    with pytest.raises(ModelError, match="with 3,000 MB"):
        read_weights(path)
    with path.open("r+b") as file:
        file.write((10**9).to_bytes(8, "little"))
    for read in (read_weights, read_header):
        with pytest.raises(ModelError, match="a header of 1,000 MB"):
            read(path)


def test_a_raw_strip_is_read_in_parts(tmp_path: Path) -> None:
    """A single strip of raw samples is no bomb, however long."""
    rng = np.random.default_rng(1)
    for dtype, planar in (("uint8", "contig"), (">u2", "contig"), ("uint8", "separate")):
        image = rng.integers(0, 256, (900, 301, 3)).astype(dtype)
        stored = image if planar == "contig" else image.transpose(2, 0, 1)
        path = tmp_path / "a.tif"
        options: dict[str, Any] = {"byteorder": ">"} if dtype == ">u2" else {}
        tifffile.imwrite(
            path, stored * (257 if dtype == ">u2" else 1), photometric="rgb", rowsperstrip=900,
            planarconfig=planar, metadata=None, **options,
        )  # fmt: skip
        with open_slide(path) as slide:
            assert slide.levels[0].tile.height == 256
            np.testing.assert_array_equal(slide.read(slide.bounds, 1), image)


@pytest.mark.parametrize("compressor", ["zlib", "gzip", "bz2", "lzma", "zstd", "blosc", "lz4"])
def test_what_a_chunk_decodes_to_is_known_before(compressor: str) -> None:
    import numcodecs

    codec = numcodecs.get_codec({"id": compressor})
    for size in (0, 1, 3_000_001):
        data = bytes(codec.encode(np.zeros(size, np.uint8)))
        assert not exceeds(data, compressor, size)
        assert size == 0 or exceeds(data, compressor, size - 1)


def test_damaged_streams_are_left_to_their_decoder() -> None:
    data = zlib.compress(bytes(3_000_000))
    assert not exceeds(data[: len(data) // 2], "zlib", 3_000_000)
    assert not exceeds(b"no stream" * 1000, "zlib", 3_000_000)
    assert not exceeds(b"", "lzma", 10)
