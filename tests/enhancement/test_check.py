"""A check hides the finest pixels, makes LR as the slide's own levels are, and measures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tifffile import TiffWriter

from napari_cwtnet.enhancement import EnhanceRequest, Quality, make_plan
from napari_cwtnet.enhancement.check import Check, check, tissue_fields
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.metrics import psnr
from napari_cwtnet.model import load_model
from napari_cwtnet.slides import Slide, open_slide
from napari_cwtnet.slides.array_slide import ArraySlide
from napari_cwtnet.slides.check_levels import check_levels, own_degradation
from napari_cwtnet.slides.degradation import Degradation, Kernel
from napari_cwtnet.slides.degrade import degrade


def tissue(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Textured colours at several sizes, ``(height, width, 3)`` uint8."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for step in (2, 4, 16):
        coarse = random.integers(0, 256, (height // step, width // step, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(picture, np.float32) / 3
    return np.clip(total, 0, 255).astype(np.uint8)


def write_pyramid(path: Path, images: list[np.ndarray], quality: int | None) -> Path:
    """A pyramidal TIFF of 256² tiles, JPEG 4:2:0 where a quality is given."""
    codec = {} if quality is None else {
        "compression": "jpeg", "compressionargs": {"level": quality}, "subsampling": (2, 2),
    }  # fmt: skip
    with TiffWriter(path) as writer:
        for number, image in enumerate(images):
            writer.write(
                image, tile=(256, 256), photometric="rgb", subfiletype=int(number > 0), **codec
            )
    return path


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Slide]]:
    """One slide with a stored level of 2×2 means, and one with level 0 alone; both JPEG."""
    folder = tmp_path_factory.mktemp("pyramids")
    finest = tissue(1024, 1024)
    half = degrade(finest, Degradation(Kernel("box")))
    stored = write_pyramid(folder / "stored.tif", [finest, half], 80)
    single = write_pyramid(folder / "single.tif", [finest], 60)
    with open_slide(stored) as first, open_slide(single) as second:
        yield {"stored": first, "single": second}


def test_a_stored_level_is_lr_as_it_is(slides: dict[str, Slide]) -> None:
    slide, region = slides["stored"], Region(100, 200, 300, 260)
    levels = check_levels(slide, region, 2, 2)
    assert levels.made_by == "stored level"
    assert levels.region == Region(100, 200, 300, 260)
    pixels = levels.slide.read(levels.slide.bounds, 2)
    assert np.array_equal(pixels, slide.read_level(1, 50, 100, 150, 130))
    truth = levels.slide.read(levels.slide.bounds, 1)
    assert np.array_equal(truth, slide.read_level(0, 100, 200, 300, 260))
    known = levels.slide.degradation(2)
    assert known.kernel == Kernel("box")
    assert known.compression is not None
    assert (known.compression.quality, known.compression.subsampling) == (80, "420")


def test_a_level_that_is_not_there_is_made_like_level_0(slides: dict[str, Slide]) -> None:
    slide = slides["single"]
    levels = check_levels(slide, Region(0, 0, 256, 256), 2, 2)
    known = levels.slide.degradation(2)
    assert levels.made_by == "assumed"
    assert (known.kernel, known.compression.quality) == (Kernel("box"), 60)
    expected = degrade(slide.read_level(0, 0, 0, 256, 256), known)
    assert np.array_equal(levels.slide.read(levels.slide.bounds, 2), expected)
    softer = check_levels(slide, Region(0, 0, 256, 256), 2, 2, Kernel("gauss", 1.2))
    assert softer.slide.degradation(2).kernel == Kernel("gauss", 1.2)


def test_below_the_last_level_its_kernel_is_taken(slides: dict[str, Slide]) -> None:
    found = own_degradation(slides["stored"])
    assert (found.kernel, found.kernel_source) == (Kernel("box"), "fitted")
    levels = check_levels(slides["stored"], Region(0, 0, 512, 512), 4, 4)
    assert levels.made_by == "fitted"
    assert levels.slide.degradation(2).compression_source == "read"


def test_regions_are_cut_to_whole_lr_pixels(slides: dict[str, Slide]) -> None:
    levels = check_levels(slides["single"], Region(3, 5, 101, 99), 4, 4)
    assert levels.region == Region(4, 8, 100, 96)
    assert tuple(levels.slide.size) == (100, 96)


@pytest.mark.parametrize(
    ("region", "downsample", "why"),
    [
        (Region(0, 0, 100, 100), 1, "cannot be checked at ×2"),
        (Region(5000, 0, 100, 100), 2, "outside the slide"),
        (Region(0.5, 0, 1, 1), 2, "no whole pixel"),
    ],
)
def test_what_cannot_be_checked_says_why(
    slides: dict[str, Slide], region: Region, downsample: float, why: str
) -> None:
    with pytest.raises(RequestError, match=why):
        check_levels(slides["single"], region, downsample, 2)


def test_figures_are_those_of_the_slide_s_own_pixels(slides: dict[str, Slide], make_model) -> None:
    """A bicubic model gains nothing, and bicubic's own figure can be had by hand."""
    slide, region = slides["stored"], Region(256, 256, 512, 512)
    found = check(slide, make_model(2), [region])
    assert found.quality.psnr == pytest.approx(found.quality.psnr_bicubic, abs=0.01)
    lr = Image.fromarray(slide.read_level(1, 128, 128, 256, 256))
    by_hand = np.asarray(lr.resize((512, 512), Image.Resampling.BICUBIC))
    truth = slide.read_level(0, 256, 256, 512, 512)
    assert found.quality.psnr_bicubic == pytest.approx(psnr(by_hand, truth, 2), abs=1e-6)
    said = found.as_dict()
    assert said["made_by"] == "stored level"
    assert said["degradation"]["kernel"] == "box"
    assert said["regions"][0]["region"] == [256, 256, 512, 512]
    assert check(slide, make_model(2), [(256, 256, 512, 512)]).quality == found.quality
    assert said["mode"] == "single-image"


def test_cross_scale_is_measured_against_its_own_reference(
    slides: dict[str, Slide], make_model
) -> None:
    found = check(slides["stored"], make_model(4), [Region(0, 0, 512, 512)])
    assert found.mode == "cross-scale"
    assert found.quality.psnr_reference_bicubic == pytest.approx(found.quality.psnr, abs=0.01)
    assert found.reference_degradation is not None
    assert found.reference_degradation.kernel == Kernel("box")


@pytest.mark.parametrize(
    ("figures", "change", "sentence"),
    [
        (
            (31.1, 0.9, 30.0, 0.9), {},
            "Check: 10× → 20× against the slide's own 20×: 1.1 dB better than plain enlargement "
            "(stored level, 2×2 mean · JPEG 75, 4:2:0).",
        ),
        (
            (30.0, 0.9, 25.0, 0.9, 30.4, 0.9), {"scale": 4, "made_by": "fitted"},
            "Check: 5× → 20× against the slide's own 20×: 0.4 dB WORSE than plain enlargement of "
            "the reference; do not use this model on this slide (level made as the slide's own "
            "are, 2×2 mean · JPEG 75, 4:2:0).",
        ),
        (
            (30.01, 0.9, 30.0, 0.9), {"mpp": None, "made_by": "assumed"},
            "Check: downsample 2 → 1 against the slide's own pixels: no better than plain "
            "enlargement (level made, its kernel assumed: 2×2 mean · JPEG 75, 4:2:0).",
        ),
        (
            (), {"mpp": 0.7},
            "Check: 1.4 → 0.7 µm/px against the slide's own pixels: not known, the region is too "
            "small to measure (stored level, 2×2 mean · JPEG 75, 4:2:0).",
        ),
        (
            (50.0, 1.0, np.inf, 1.0), {},
            "Check: 10× → 20× against the slide's own 20×: not known, the region shows no detail "
            "(stored level, 2×2 mean · JPEG 75, 4:2:0).",
        ),
        (
            (35.0, 1.0, 30.0, 1.0, 34.0, 1.0), {"mode": "oracle"},
            "Check: 10× → 20× against the slide's own 20×: ORACLE, the model was given the answer; "
            "its gain is not known.",
        ),
    ],
)  # fmt: skip
def test_what_was_found_in_one_sentence(
    figures: tuple[float, ...], change: dict[str, object], sentence: str
) -> None:
    known = Degradation.parse("box+jpeg75")
    values = {
        "quality": Quality(*figures), "per_region": (), "regions": (), "mode": "single-image",
        "downsample": 2.0, "scale": 2, "mpp": 0.5, "degradation": known,
        "reference_degradation": None, "made_by": "stored level", "model": "m",
    }  # fmt: skip
    assert Check(**(values | change)).sentence == sentence


def test_fields_are_chosen_where_there_is_texture() -> None:
    image = np.full((2048, 3072, 3), 240, np.uint8)
    image[256:1024, 1024:1792] = tissue(768, 768)
    fields = tissue_fields(ArraySlide({1: image}), side=512, count=2)
    assert len(fields) == 2
    assert all(field.intersection(Region(1024, 256, 768, 768)) for field in fields)
    assert tissue_fields(ArraySlide({1: image[:300, :300]})) == (Region(0, 0, 300, 300),)


def test_an_array_slide_gives_what_it_was_given() -> None:
    images = {1: tissue(64, 80), 2: tissue(32, 40, seed=1)}
    known = Degradation.parse("box+jpeg75")
    slide = ArraySlide(images, {2: known}, mpp=0.5)
    assert np.array_equal(slide.read(slide.bounds, 2), images[2])
    assert np.array_equal(slide.read(slide.bounds, 2, source=1), images[2])
    assert (slide.mpp, slide.degradation(2), slide.degradation(1)) == (0.5, known, Degradation())
    with pytest.raises(RequestError, match="has shape"):
        ArraySlide({1: images[1], 2: images[1]})
    with pytest.raises(RequestError, match="downsample 1"):
        ArraySlide({2: images[2]})


def test_a_model_that_is_told_reads_stored_levels(slides: dict[str, Slide], make_model) -> None:
    request = EnhanceRequest(Region(0, 0, 256, 256), 2)
    told, untold = load_model("cwtnet-lite-x2"), make_model(2)
    assert told.takes_degradation
    assert make_plan(slides["stored"], told, request).source_downsample == 2
    assert make_plan(slides["stored"], untold, request).source_downsample == 1
