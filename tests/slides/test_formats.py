"""Every real file in the test data, and what is known of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import pytest

from napari_cwtnet.errors import SlideError
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import Slide, open_slide
from napari_cwtnet.slides.backends.openslide import OpenSlideBackend
from napari_cwtnet.slides.backends.tiff import TiffBackend

CMU = "slides/cmu1_small_svs/CMU-1-Small-Region.svs"
TCGA = "slides/tcga_cr7395_svs/tcga-cr-7395-01a-01-ts1.svs"
PROSTATE = "slides/prostate_pyramid_tiff/slide.tiff"
TINY = "slides/tiny_and_broken"
DICOM = [
    f"slides/cmu1_small_dicom/1.2.826.0.1.3680043.8.498.{name}.dcm"
    for name in (
        "46702941076792458794464453066648511350",
        "58740178995208579534253317996600852419",
        "59138772023963819382497555356965497339",
        "59317222794345851838438403002169487918",
    )
]
NO_MPP = "openslide.mpp-x is missing; set mpp, in µm per pixel, to use physical sizes"

KNOWN = {
    CMU: ("aperio", (2220, 2967), [1], 0.499, False),
    TCGA: ("aperio", (4443, 3567), [1, 2], None, True),
    PROSTATE: ("tiff", (2500, 2500), [1, 2, 4, 8, 16, 32], None, False),
    "slides/stritt_ndpi/test3-DAPI-2-387.ndpi": (
        "hamamatsu", (3968, 4864), [1, 2, 4, 8, 16, 32, 64], 0.228175, False
    ),
    "slides/stritt_ndpi/test3-TRITC-2-560.ndpi": (
        "hamamatsu", (3968, 4864), [1, 2, 4, 8, 16, 32, 64], 0.228175, False
    ),
    **{path: ("dicom", (2220, 2967), [1], 0.499, True) for path in DICOM},
    "slides/os2_ometiff/OS-2-ndpi.ome.tif": ("ome-tiff", (2202, 2202), [1], 0.2271, False),
    "slides/os2_ometiff/OS-2-vsi.ome.tif": ("ome-tiff", (1445, 1445), [1], 0.34605, False),
    f"{TINY}/boxes.tiff": ("tiff", (300, 250), [1, 2, 4, 8], None, True),
    f"{TINY}/small.svs": ("aperio", (16, 16), [1], 0.499, False),
    f"{TINY}/boxes_0.dcm": ("dicom", (16, 16), [1], 0.499, True),
    f"{TINY}/boxes_1.dcm": ("dicom", (16, 16), [1], 0.499, True),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_of_a_file(data_dir, name: str) -> None:
    kind, size, downsamples, mpp, icc = KNOWN[name]
    with open_slide(data_dir / name) as slide:
        assert slide.format == kind
        assert slide.size == size
        assert slide.bounds == Region(0, 0, *size)
        assert [level.downsample for level in slide.levels] == downsamples
        assert slide.mpp == (mpp if mpp is None else pytest.approx(mpp, abs=1e-4))
        assert (slide.mpp_note is None) == (mpp is not None)
        assert slide.icc is icc
        assert slide.icc_note is None
        assert (slide.icc_profile is not None) is icc
        assert slide.background == (255, 255, 255)
        for downsample in (1, 2.7, 9):
            region = Region(size[0] * 0.3, size[1] * 0.4, size[0] * 0.2, size[1] * 0.1)
            got = slide.read(region, downsample)
            assert got.shape == (*region.size_at(downsample)[::-1], 3)
            assert got.dtype == np.uint8


def test_notes_on_absent_pixel_sizes(data_dir) -> None:
    with open_slide(data_dir / TCGA) as slide:
        assert slide.mpp_note == NO_MPP
    with open_slide(data_dir / PROSTATE) as slide:
        assert slide.mpp_note == (
            "resolution tag (28.3465 per inch) says 896.056 µm/px, outside 0.05 to 20 µm/px; "
            "set mpp, in µm per pixel, to use physical sizes"
        )
    with open_slide(data_dir / PROSTATE, mpp=0.5) as slide:
        assert (slide.mpp, slide.mpp_note) == (0.5, "set by user")


def test_level_0_of_the_svs_is_what_openslide_gives(data_dir) -> None:
    path = data_dir / CMU
    with open_slide(path) as slide, openslide.OpenSlide(path) as reference:
        got = slide.read(Region(601, 907, 700, 500), 1)
        want = np.asarray(reference.read_region((601, 907), 0, (700, 500)).convert("RGB"))
        np.testing.assert_array_equal(got, want)
        assert slide.properties["aperio.AppMag"] == "20"


def test_both_readers_agree_on_a_level_that_is_not_whole(data_dir) -> None:
    path = data_dir / TCGA
    with Slide(path, OpenSlideBackend(path)) as slide, Slide(path, TiffBackend(path)) as direct:
        assert direct.levels == slide.levels
        for x, y in ((0, 0), (1000, 900), (1800, 1500)):
            one, other = (s.read_level(1, x, y, 300, 250) for s in (slide, direct))
            assert np.abs(one.astype(int) - other).max() <= 2


def test_fractional_reads_of_openslide_are_undone(data_dir) -> None:
    path = data_dir / TCGA
    backend = OpenSlideBackend(path)
    direct = backend._aperio
    assert direct is not None
    for column, row in ((0, 0), (3, 3), (5, 4), (8, 6)):
        want = direct.pyramid.read_tile(1, column, row).astype(int)
        backend._aperio = None
        got = backend.read_tile(1, column, row)[..., :3]
        # Read as OpenSlide gives them, these differ by up to 80 grey levels.
        assert np.abs(got - want).max() <= 4
        assert np.abs(got - want).mean() < 0.5
    backend.close()
    direct.close()


@pytest.mark.parametrize("level", [0, 1, 3, 5])
def test_both_readers_agree_on_a_generic_pyramid(data_dir, level: int) -> None:
    path = data_dir / PROSTATE
    with open_slide(path) as slide, openslide.OpenSlide(path) as reference:
        assert slide.format == "tiff"
        size = reference.level_dimensions[level]
        want = np.asarray(reference.read_region((0, 0), level, size).convert("RGB")).astype(int)
        got = slide.read_level(level, 0, 0, *size)
    assert np.abs(got - want).mean() < 0.5
    assert np.abs(got - want).max() <= 8


def test_fingerprints_tell_slides_apart_and_files_of_one_slide_not(data_dir) -> None:
    prints = {}
    for name in KNOWN:
        with open_slide(data_dir / name) as slide:
            prints[name] = slide.fingerprint
            assert len(slide.fingerprint) == 32
            int(slide.fingerprint, 16)
    assert len({prints[name] for name in DICOM}) == 1
    others = [name for name in KNOWN if name not in DICOM and not name.endswith("boxes_1.dcm")]
    assert len({prints[name] for name in others}) == len(others)


def test_a_fingerprint_does_not_depend_on_name_or_settings(data_dir, tmp_path: Path) -> None:
    source = data_dir / TCGA
    copy = tmp_path / "another name.svs"
    copy.write_bytes(source.read_bytes())
    with open_slide(source) as first, open_slide(copy, mpp=0.3, icc=False) as second:
        assert first.fingerprint == second.fingerprint
        assert first.icc
        assert not second.icc


REFUSED = {
    "unopenable.tiff": (
        "Slide 'unopenable.tiff' cannot be read at tile 0 of its 1 × 1 image: "
        "52479 is not a known COMPRESSION; convert it to a TIFF with JPEG or LZW."
    ),
    "unreadable.svs": (
        "Slide 'unreadable.svs' cannot be read at tile 0 of its 16 × 16 image: "
        "Bogus marker length; copy the file again from its source."
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_broken_files_are_refused(data_dir, name: str) -> None:
    with pytest.raises(SlideError) as caught:
        open_slide(data_dir / f"{TINY}/{name}")
    assert str(caught.value) == REFUSED[name]
