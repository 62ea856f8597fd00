"""CMYK, L*a*b* and YCbCr in TIFF, against other libraries' colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from napari_cwtnet.errors import SlideError
from napari_cwtnet.slides import open_slide
from slides.pattern import stored

RGB = stored(1)[:300, :400]


def read(path: Path) -> np.ndarray:
    with open_slide(path) as slide:
        return slide.read(slide.bounds, 1).astype(int)


def test_cmyk(tmp_path: Path) -> None:
    inks = np.asarray(Image.fromarray(RGB).convert("CMYK"))
    options = {"photometric": "separated", "compression": "zlib", "metadata": None}
    for name, tile in (("strips.tif", None), ("tiles.tif", (128, 128))):
        tifffile.imwrite(tmp_path / name, inks, tile=tile, **options)
        want = np.asarray(Image.fromarray(inks, "CMYK").convert("RGB")).astype(int)
        assert np.abs(read(tmp_path / name) - want).max() <= 1
    black = np.dstack([inks[..., :3], np.full(inks.shape[:2], 255, np.uint8)])
    tifffile.imwrite(tmp_path / "black.tif", black, **options)
    assert read(tmp_path / "black.tif").max() == 0
    tifffile.imwrite(tmp_path / "deep.tif", inks.astype(np.uint16) * 257, **options)
    assert np.abs(read(tmp_path / "deep.tif") - want).max() <= 1


def test_lab(tmp_path: Path) -> None:
    srgb = ImageCms.createProfile("sRGB")
    to_lab = ImageCms.buildTransform(srgb, ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = np.asarray(ImageCms.applyTransform(Image.fromarray(RGB), to_lab))
    for name, stored_as in (("cielab", lab), ("icclab", lab ^ np.array([0, 128, 128], np.uint8))):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, stored_as, photometric=name, metadata=None)
        # 8 bits of a* and b* are steps of one, which is up to five in dark blue.
        assert np.abs(read(path) - RGB).mean() < 1.5
        assert np.abs(read(path) - RGB).max() <= 12


def test_ycbcr_outside_jpeg(tmp_path: Path) -> None:
    image = np.asarray(Image.fromarray(RGB).convert("YCbCr"))
    path = tmp_path / "a.tif"
    whole = [(530, "H", 2, (1, 1), True)]
    tifffile.imwrite(
        path, image, photometric="ycbcr", compression="lzw", extratags=whole, metadata=None
    )
    assert np.abs(read(path) - RGB).max() <= 3


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("halved", [(2, 2), (2, 1), (1, 2)])
def test_halved_chroma_outside_jpeg(
    tmp_path: Path, halved: tuple[int, int], compression: str | None
) -> None:
    image = np.asarray(Image.fromarray(RGB).convert("YCbCr"))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, photometric="ycbcr", compression=compression, metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages.first.tags["YCbCrSubSampling"].overwrite(halved)
    with pytest.raises(SlideError, match="halved chroma outside JPEG"):
        read(path)
