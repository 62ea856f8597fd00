"""A degradation is read from a SPEC, told in words, and applied as Pillow would."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from napari_cwtnet.errors import RequestError
from napari_cwtnet.slides.degradation import (
    KERNELS,
    UNKNOWN,
    Compression,
    Degradation,
    Kernel,
    kernel_response,
    kernel_taps,
    sharpening_response,
)
from napari_cwtnet.slides.degrade import compress, degrade, shrink

PILLOW = {
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}


def picture(height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    resized = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def wave(frequency: float, length: int = 512) -> np.ndarray:
    """A wave across columns, cycles per pixel, ``(8, length, 3)`` uint8 around 128."""
    row = 128 + 100 * np.cos(2 * np.pi * frequency * (np.arange(length) + 0.5))
    return np.broadcast_to(np.rint(row).astype(np.uint8)[None, :, None], (8, length, 3)).copy()


def amplitude(image: np.ndarray, frequency: float) -> float:
    row = image[2, 16:-16, 0].astype(float) - 128
    phase = 2 * np.pi * frequency * (np.arange(16, 16 + len(row)) + 0.5)
    return float(2 * np.mean(row * np.cos(phase)))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("bicubic", "bicubic · lossless"),
        ("box+jpeg75-420", "2×2 mean · JPEG 75, 4:2:0"),
        ("box+jpeg75", "2×2 mean · JPEG 75, 4:2:0"),
        ("gauss0.8+jpeg80-444", "gauss0.8 · JPEG 80, 4:4:4"),
        ("lanczos+sharpen0.5+noise2+jpeg30-422",
         "lanczos · sharpened by 0.5 · noise 2 · JPEG 30, 4:2:2"),
    ],
)  # fmt: skip
def test_spec_and_words(spec: str, words: str) -> None:
    assert str(Degradation.parse(spec)) == words


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("", "is not understood"),
        ("cubic", "is not understood"),
        ("gauss", "is not understood"),
        ("box+jpeg", "is not understood"),
        ("box+jpeg75-411", "is not understood"),
        ("jpeg75+box", "is not understood"),
        ("box+jpeg0", "JPEG quality 0 is out of range"),
        ("box+jpeg101", "JPEG quality 101 is out of range"),
        ("gauss9", "sigma 9 is out of range"),
        ("box+sharpen7", "sharpen 7 is out of range"),
    ],
)
def test_nonsense_is_refused_in_one_line(spec: str, why: str) -> None:
    with pytest.raises(RequestError, match=why) as raised:
        Degradation.parse(spec)
    assert "\n" not in str(raised.value)


def test_without_leaves_a_part_unknown() -> None:
    known = Degradation.parse("box+noise1+jpeg75")
    assert known.without("kernel", "sharpening", "noise", "compression") == UNKNOWN
    less = known.without("kernel")
    assert (less.kernel, less.kernel_source, less.compression) == (None, None, known.compression)
    assert less.as_dict()["kernel"] is None
    assert str(UNKNOWN) == "not known"


@pytest.mark.parametrize("name", PILLOW)
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_named_kernels_are_pillow_s(name: str, factor: int) -> None:
    image = picture()
    size = (image.shape[1] // factor, image.shape[0] // factor)
    expected = np.asarray(Image.fromarray(image).resize(size, PILLOW[name]))
    assert np.array_equal(shrink(image, Kernel(name), factor), expected)
    by_taps = shrink(image, Kernel("fitted", taps=kernel_taps(Kernel(name))), 2)
    near = np.asarray(Image.fromarray(image).resize((48, 32), PILLOW[name]))
    core = (slice(4, -4), slice(4, -4))
    assert np.abs(by_taps[core].astype(int) - near[core]).max() <= 1


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("frequency", [0.125, 0.25, 0.375])
def test_response_is_what_is_left_of_a_wave(name: str, frequency: float) -> None:
    kernel = Kernel(name, 0.9 if name == "gauss" else 0.0)
    small = shrink(wave(frequency / 2), kernel, 2)
    assert amplitude(small, frequency) / 100 == pytest.approx(
        kernel_response(kernel, frequency), abs=0.015
    )
    assert sum(kernel_taps(kernel, 4)) == pytest.approx(1)


def test_sharpening_raises_a_wave_as_its_response_says() -> None:
    made = Degradation(Kernel("box"), sharpening=0.5)
    plain = amplitude(degrade(wave(0.1), Degradation(Kernel("box"))), 0.2)
    raised = amplitude(degrade(wave(0.1) // 2 + 64, made), 0.2) * 2
    assert raised / plain == pytest.approx(sharpening_response(0.5, 0.2), abs=0.03)


def test_compression_is_that_of_libjpeg_with_the_grid_where_it_is_said() -> None:
    image = picture(48, 48)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=60, subsampling=2)
    expected = np.asarray(Image.open(stream))
    assert np.array_equal(compress(image, Compression("jpeg", 60, "420")), expected)
    shifted = compress(image, Compression("jpeg", 60, "420"), grid=(3, 5))
    assert shifted.shape == image.shape
    whole = np.pad(image, ((5, 0), (3, 0), (0, 0)), mode="edge")
    assert np.array_equal(shifted, compress(whole, Compression("jpeg", 60, "420"))[5:, 3:])


def test_own_tables_are_used_in_the_order_of_the_file() -> None:
    """Steps of 1 for the first fifteen places in zigzag order: not for six waves a block."""
    table = (*(1,) * 15, *(255,) * 49)
    codec = Compression("jpeg", 50, "444", (table, table))
    kept, lost = (wave(cycles / 16, 64) // 8 + 112 for cycles in (1, 6))
    assert np.abs(compress(kept, codec).astype(int) - kept).max() <= 2
    assert np.ptp(lost[..., 0]) > 20
    assert np.ptp(compress(lost, codec)[..., 0]) < 10


def test_jpeg_2000_loses_more_at_a_lower_rate() -> None:
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    low, high = (
        np.abs(compress(image, Compression("jpeg2000", rate=rate)).astype(int) - image).mean()
        for rate in (1.0, 6.0)
    )
    assert low > 1.5 * high > 0


def test_noise_has_the_deviation_that_is_said() -> None:
    flat = np.full((128, 128, 3), 120, np.uint8)
    made = Degradation(Kernel("box"), 0.0, 4.0)
    noisy = degrade(flat, made, random=np.random.default_rng(3))
    assert noisy.std() == pytest.approx(4.0, rel=0.05)
    assert np.array_equal(noisy, degrade(flat, made, random=np.random.default_rng(3)))
