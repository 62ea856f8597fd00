"""Plain images, and colour: depth, alpha, ICC."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from napari_cwtnet.errors import SlideError
from napari_cwtnet.slides import open_slide
from slides.pattern import stored

RGB = stored(1)[:300, :400]


def read(path: Path, **options: bool) -> np.ndarray:
    with open_slide(path, **options) as slide:
        return slide.read(slide.bounds, 1)


def test_png(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide:
        assert slide.format == "png"
        assert slide.size == (400, 300)
        assert [level.downsample for level in slide.levels] == [1]
        assert slide.mpp is None
        assert slide.mpp_note == (
            "pixel size is missing; set mpp, in µm per pixel, to use physical sizes"
        )
        np.testing.assert_array_equal(slide.read(slide.bounds, 1), RGB)
        first = slide.fingerprint
    Image.fromarray(RGB).save(tmp_path / "b.png", compress_level=1, dpi=(50800, 50800))
    with open_slide(tmp_path / "b.png") as slide:
        assert slide.mpp == pytest.approx(0.5, rel=1e-4)
        assert slide.fingerprint == first


def test_jpeg(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.jpg", quality=95, dpi=(72, 72))
    with open_slide(tmp_path / "a.jpg") as slide:
        assert slide.format == "jpeg"
        assert "352.778 µm/px" in str(slide.mpp_note)
        assert np.abs(slide.read(slide.bounds, 1).astype(int) - RGB).max() <= 10


def test_grey_deep_palette_and_alpha(tmp_path: Path) -> None:
    grey = RGB[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read(tmp_path / "grey.png"), np.dstack([grey] * 3))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read(tmp_path / "deep.png"), np.dstack([grey] * 3))
    palette = Image.fromarray(RGB).quantize(16)
    palette.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(
        read(tmp_path / "palette.png"), np.asarray(palette.convert("RGB"))
    )
    alpha = np.full_like(grey, 255)
    alpha[:100] = 0
    Image.fromarray(np.dstack([RGB, alpha])).save(tmp_path / "alpha.png")
    got = read(tmp_path / "alpha.png")
    assert (got[:100] == 255).all()
    np.testing.assert_array_equal(got[100:], RGB[100:])


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    for side, said in ((60000, "60000 × 60000|3600000000 pixels"), (12000, "12000 × 12000")):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
        with pytest.raises(SlideError, match=said) as caught:
            open_slide(tmp_path / "bomb.png")
        assert "'bomb.png'" in str(caught.value)
        assert "; convert it to a " in str(caught.value)


def test_a_cut_png_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (99, 99, 3), np.uint8)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SlideError, match=r"^Image 'a\.png' cannot be decoded: .*copy the file"):
        open_slide(tmp_path / "a.png")


def swapped_profile() -> bytes:
    """An sRGB profile with the red and blue primaries exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    entries = {bytes(profile[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, blue = entries[b"rXYZ"] + 4, entries[b"bXYZ"] + 4
    profile[red : red + 8], profile[blue : blue + 8] = (
        profile[blue : blue + 8],
        profile[red : red + 8],
    )
    return bytes(profile)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_icc_is_applied_unless_switched_off(tmp_path: Path, suffix: str) -> None:
    profile = swapped_profile()  # made once: it carries the time
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        Image.fromarray(RGB).save(path, icc_profile=profile)
    else:
        tifffile.imwrite(path, RGB, photometric="rgb", iccprofile=profile, metadata=None)
    np.testing.assert_array_equal(read(path, icc=False), RGB)
    # Exchanged primaries exchange red and blue.
    assert np.abs(read(path).astype(int) - RGB[..., ::-1]).max() <= 2
    with open_slide(path) as slide:
        assert slide.icc
        assert slide.icc_profile == profile


def test_a_broken_profile_is_noted_and_not_fatal(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", iccprofile=b"\0" * 200)
    with open_slide(tmp_path / "a.tif") as slide:
        assert not slide.icc
        assert str(slide.icc_note).startswith("ICC profile is not applied, it cannot be used: ")
        np.testing.assert_array_equal(slide.read(slide.bounds, 1), RGB)


def test_a_profile_of_another_colour_space_is_noted(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(RGB).save(tmp_path / "a.png", icc_profile=lab)
    with open_slide(tmp_path / "a.png") as slide:
        assert not slide.icc
        assert slide.icc_note is not None
