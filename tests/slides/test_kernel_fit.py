"""Kernels of pyramids of known making."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw, ImageFilter

from napari_cwtnet.errors import SlideError
from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.backend import TileCache
from napari_cwtnet.slides.degradation import Degradation, Kernel, kernel_response
from napari_cwtnet.slides.degrade import degrade
from napari_cwtnet.slides.kernel_fit import MARGIN, Pair, fit_kernel


@cache
def tissue(seed: int, side: int = 512) -> np.ndarray:
    """Nuclei-like spots on a stroma of many scales: sharp to the pixel."""
    random = np.random.default_rng(seed)
    image = np.zeros((side, side, 3))
    for octave in range(1, 8):
        coarse = random.normal(0, 1, (2**octave + 1, 2**octave + 1, 3))
        grown = [
            np.asarray(Image.fromarray(coarse[..., c].astype(np.float32)).resize((side, side), 3))
            for c in range(3)
        ]
        image += 14 * np.dstack(grown)
    image += random.normal(0, 9, (side, side, 1))
    spots = Image.new("L", (side, side))
    draw = ImageDraw.Draw(spots)
    for x, y, radius in random.uniform((0, 0, 3), (side, side, 9), (500, 3)):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)
    image -= np.asarray(spots)[..., np.newaxis] * np.array([70, 90, 30])
    return np.clip(image + np.array([205, 165, 200]), 0, 255).astype(np.uint8)


def write(path: Path, *levels: np.ndarray) -> Path:
    with tifffile.TiffWriter(path) as writer:
        for index, level in enumerate(levels):
            writer.write(
                level, tile=(128, 128), photometric="rgb", subfiletype=int(index > 0),
                metadata=None, compression="zlib",
            )  # fmt: skip
    return path


def pyramid(path: Path, *specs: str, factor: int = 2) -> Path:
    levels = [tissue(1, 1024)]
    for spec in specs:
        levels.append(degrade(levels[-1], Degradation.parse(spec), factor))
    return write(path, *levels)


def pair(fine: np.ndarray, coarse: np.ndarray, factor: int, side: int = 96) -> Pair:
    start = slice(MARGIN, MARGIN + side)
    around = slice(0, factor * (side + 2 * MARGIN))
    return Pair(coarse[start, start], fine[around, around])


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("spec", ["box", "bicubic", "bilinear", "lanczos", "gauss0.7"])
def test_known_kernels(tmp_path: Path, spec: str, factor: int) -> None:
    with open_slide(pyramid(tmp_path / "a.tif", spec, factor=factor)) as slide:
        found = slide.levels[1].degradation
        assert slide.levels[0].degradation.kernel is None
    assert (str(found.kernel), found.sharpening, found.kernel_source) == (spec, 0, "fitted")


@pytest.mark.parametrize("spec", ["bicubic+sharpen0.5", "box+sharpen0.3", "bilinear+sharpen1"])
def test_sharpening(tmp_path: Path, spec: str) -> None:
    with open_slide(pyramid(tmp_path / "a.tif", spec)) as slide:
        found = slide.levels[1].degradation
    want = Degradation.parse(spec)
    assert found.kernel == want.kernel
    assert found.sharpening == pytest.approx(want.sharpening, abs=0.051)


@pytest.mark.parametrize("spec", ["box", "bicubic", "bilinear"])
@pytest.mark.parametrize("codec", ["jpeg90-444", "jpeg75-420", "jpeg50-420"])
def test_behind_a_codec(spec: str, codec: str) -> None:
    made = Degradation.parse(f"{spec}+{codec}")
    fine = tissue(2)
    found = fit_kernel([pair(fine, degrade(fine, made), 2)], 2, made.compression)
    assert found is not None
    assert (str(found.kernel), found.sharpening) == (spec, 0)


def test_a_kernel_of_no_name_has_its_taps() -> None:
    own = Kernel("fitted", taps=(0.15, -0.1, 0.45, 0.45, -0.1, 0.15))
    fine = tissue(3)
    found = fit_kernel([pair(fine, degrade(fine, Degradation(own)), 2)], 2)
    assert found is not None
    assert found.kernel.name == "fitted"
    assert sum(found.kernel.taps) == pytest.approx(1, abs=1e-3)
    for frequency in (0.1, 0.3, 0.5):
        want = kernel_response(own, frequency)
        assert kernel_response(found.kernel, frequency) == pytest.approx(want, abs=0.03)


def test_each_level_has_its_own(tmp_path: Path) -> None:
    with open_slide(pyramid(tmp_path / "a.tif", "box", "bicubic")) as slide:
        assert [str(level.degradation.kernel) for level in slide.levels] == [
            "None", "box", "bicubic",
        ]  # fmt: skip


def odd_levels() -> dict[str, np.ndarray]:
    fine = tissue(1)
    small = degrade(fine, Degradation.parse("box"))
    return {
        "another slide": degrade(tissue(9), Degradation.parse("box")),
        "one pixel beside": np.roll(small, 1, axis=1),
        "every other pixel": fine[::2, ::2],
        "upside down": small[::-1],
        "blank": np.full_like(small, 240),
        "noise": np.random.default_rng(0).integers(0, 255, small.shape).astype(np.uint8),
    }


@pytest.mark.parametrize("name", odd_levels())
def test_levels_that_do_not_explain_each_other(tmp_path: Path, name: str) -> None:
    with open_slide(write(tmp_path / "a.tif", tissue(1), odd_levels()[name])) as slide:
        found = slide.levels[1].degradation
    assert found.kernel is None
    assert found.sharpening is None
    assert found.compression.kind == "none"


def test_small_levels_and_odd_factors_are_not_known(tmp_path: Path) -> None:
    third = np.asarray(Image.fromarray(tissue(1)).resize((171, 171)))
    small = tissue(1)[:160, :160]
    half = degrade(small, Degradation.parse("box"))
    for fine, coarse in ((tissue(1), third), (small, half)):
        with open_slide(write(tmp_path / "a.tif", fine, coarse)) as slide:
            assert [level.degradation.kernel for level in slide.levels] == [None, None]
    assert fit_kernel([], 2) is None


def test_it_is_looked_for_once_whoever_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return fit_kernel(*arguments)

    monkeypatch.setattr("napari_cwtnet.slides.file_degradation.fit_kernel", counted)
    with open_slide(pyramid(tmp_path / "a.tif", "box")) as slide:
        assert not calls
        found: list[Degradation] = []
        threads = [
            threading.Thread(target=lambda: found.append(slide.levels[1].degradation))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(calls) == 1
    assert len(found) == 4
    assert len(set(map(str, found))) == 1


def test_a_smooth_slide_does_not_say_by_which_kernel_it_was_shrunk(tmp_path: Path) -> None:
    blurred = Image.fromarray(tissue(1)).filter(ImageFilter.GaussianBlur(12))
    fine = np.asarray(blurred) // 8 + 100
    for spec in ("box", "bicubic+jpeg75-420"):
        coarse = degrade(fine, Degradation.parse(spec), 2)
        with open_slide(write(tmp_path / "a.tif", fine, coarse)) as slide:
            assert slide.levels[1].degradation.kernel is None


def test_a_read_that_failed_is_tried_again(tmp_path: Path) -> None:
    with open_slide(pyramid(tmp_path / "a.tif", "box"), cache=TileCache(0)) as slide:
        read = slide._backend.read_tile

        def away(*place: int) -> Any:
            raise SlideError(f"the share is away at {place}")

        slide._backend.read_tile = away
        assert slide.levels[1].degradation.kernel is None
        slide._backend.read_tile = read
        assert slide.levels[1].degradation.kernel == Kernel("box")


REAL = {
    "slides/prostate_pyramid_tiff/slide.tiff": ["None", *["box"] * 4, "None"],
    "slides/tcga_cr7395_svs/tcga-cr-7395-01a-01-ts1.svs": ["None", "box"],
    # Dark fluorescence: the stored levels do not explain each other; the others OpenSlide makes.
    "slides/stritt_ndpi/test3-DAPI-2-387.ndpi": [*["None"] * 4, "box", "box", "None"],
}


@pytest.mark.parametrize("name", REAL)
def test_real_slides(data_dir: Any, name: str) -> None:
    with open_slide(data_dir / name) as slide:
        assert [str(level.degradation.kernel) for level in slide.levels] == REAL[name]
