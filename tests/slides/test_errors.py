"""Files that cannot be opened or read: one line, what, which value, what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_cwtnet.errors import RequestError, SlideError
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import open_slide
from slides.pattern import write_tiff

NDPI = "slides/stritt_ndpi/test3-DAPI-2-387.ndpi"
CMU = "slides/cmu1_small_svs/CMU-1-Small-Region.svs"


def message(path: Path) -> str:
    with pytest.raises(SlideError) as caught:
        open_slide(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing(tmp_path: Path) -> None:
    path = tmp_path / "none.svs"
    assert message(path) == f"Slide {str(path)!r} does not exist; check the path."


def test_folder(tmp_path: Path) -> None:
    assert message(tmp_path) == f"Slide {str(tmp_path)!r} is a folder; give a slide file inside it."


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.tif"
    path.touch()
    want = f"Slide {str(path)!r} is an empty file; copy it again from its source."
    assert message(path) == want


def test_text_with_a_slides_name(tmp_path: Path) -> None:
    path = tmp_path / "note.svs"
    path.write_text("not a slide\n" * 100)
    assert message(path) == (
        "File 'note.svs' is not a slide or image in a format that can be read; "
        "open a whole-slide file, a TIFF, PNG or JPEG."
    )


def test_a_tiff_header_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "cut.tif"
    path.write_bytes(b"II*\0\xff\xff\0\0")
    assert message(path).startswith("Slide 'cut.tif' is not a TIFF file that can be read: ")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_svs(data_dir, tmp_path: Path, share: float) -> None:
    data = (data_dir / CMU).read_bytes()
    path = tmp_path / "cut.svs"
    path.write_bytes(data[: int(len(data) * share)])
    text = message(path)
    assert text.startswith("Slide 'cut.svs' ")
    assert "copy the file again from its source" in text


@pytest.mark.parametrize("cut", [50_000, 200_000, 600_000])
def test_a_truncated_tiff_is_refused(tmp_path: Path, cut: int) -> None:
    path = write_tiff(tmp_path / "a.tif")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - cut])
    assert message(path).startswith("Slide 'a.tif' is cut off: the file has ")


def test_a_hurt_tile_is_an_error_only_where_it_is(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", (1,), compression="zlib")
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[7]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 500)
    with open_slide(path) as slide:
        with pytest.raises(SlideError) as caught:
            slide.read(slide.bounds, 1)
        assert str(caught.value).startswith(
            "Slide 'a.tif' cannot be read at tile 7 of its 731 × 517 image: "
        )
        assert "\n" not in str(caught.value)
        assert slide.read(Region(0, 0, 128, 128), 1).shape == (128, 128, 3)


def test_openslide_goes_on_after_an_error_in_the_middle(data_dir, tmp_path: Path) -> None:
    data = bytearray((data_dir / NDPI).read_bytes())
    # Level 0 comes first in the file; its middle is overwritten, the other levels are whole.
    data[1_000_000:1_200_000] = b"\xff\xd9" * 100_000
    path = tmp_path / "hurt.ndpi"
    path.write_bytes(data)
    with open_slide(path) as slide:
        fine = slide.read_tile(3, 0, 0).copy()
        with pytest.raises(SlideError, match=r"^Slide 'hurt\.ndpi' cannot be read at") as caught:
            slide.read(slide.bounds, 1)
        assert "\n" not in str(caught.value)
        slide._cache.forget(slide._owner)
        np.testing.assert_array_equal(slide.read_tile(3, 0, 0), fine)
        assert slide.read(Region(0, 0, 400, 300), 1).shape == (300, 400, 3)


@pytest.mark.parametrize("mpp", [0, -1, 0.04, 21, 896.06, float("nan"), float("inf")])
def test_absurd_pixel_sizes_are_refused(tmp_path: Path, mpp: float) -> None:
    with pytest.raises(RequestError) as caught:
        open_slide(write_tiff(tmp_path / "a.tif", (1,)), mpp=mpp)
    assert str(caught.value) == (
        f"mpp {mpp!r} is not a pixel size of a slide; give µm per pixel between 0.05 and 20."
    )
