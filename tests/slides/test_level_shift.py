"""Levels whose content lies beside its place: measured, and read from where it lies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import shift as moved

from napari_cwtnet.cli import main
from napari_cwtnet.enhancement import EnhanceRequest, Plan, enhance, make_plan, measure
from napari_cwtnet.enhancement.quality import enlarged, slide_on_grid, truth
from napari_cwtnet.errors import SlideError
from napari_cwtnet.export.resample import ResampledLevel
from napari_cwtnet.geometry import Region, Size
from napari_cwtnet.model import load_model
from napari_cwtnet.slides import Slide, open_slide
from napari_cwtnet.slides.array_slide import ArraySlide
from napari_cwtnet.slides.check_levels import check_levels
from napari_cwtnet.slides.degradation import Degradation
from napari_cwtnet.slides.degrade import degrade
from napari_cwtnet.slides.file_degradation import FileDegradation
from napari_cwtnet.training.slide_fields import read_field
from slides.test_kernel_fit import odd_levels, tissue, write

REGION = Region(64, 64, 384, 384)
WITHIN = 0.12
"""Level-0 pixels."""


def beside(across: float, down: float, factor: int = 2, spec: str = "box") -> NDArray[np.uint8]:
    """The level of a slide whose content lies right and down of its place, level-0 pixels."""
    fine = moved(tissue(1).astype(float), (down, across, 0), order=3, mode="nearest")
    return degrade(fine.round().clip(0, 255).astype(np.uint8), Degradation.parse(spec), factor)


@pytest.mark.parametrize(
    ("across", "down", "factor", "spec"),
    [
        (0.5, -0.25, 2, "box"),
        (2, -1, 2, "bicubic"),
        (-7.5, 3.3, 2, "box+jpeg75-420"),
        (20, -16, 2, "gauss0.8"),
        (3, 1, 4, "box+jpeg90-444"),
    ],
)
def test_shifts_are_measured(
    tmp_path: Path, across: float, down: float, factor: int, spec: str
) -> None:
    path = write(tmp_path / "a.tif", tissue(1), beside(across, down, factor, spec))
    with open_slide(path) as slide:
        assert slide.levels[0].shift == (0, 0)
        assert slide.levels[1].shift == pytest.approx((across, down), abs=WITHIN)


def test_every_other_pixel_lies_half_a_pixel_beside(tmp_path: Path) -> None:
    with open_slide(write(tmp_path / "a.tif", tissue(1), tissue(1)[::2, ::2])) as slide:
        assert slide.levels[1].shift == pytest.approx((0.5, 0.5), abs=WITHIN)


@pytest.mark.parametrize("spec", ["box", "bicubic", "lanczos", "box+jpeg50-420", "box+noise6"])
def test_levels_made_of_level_0_are_exactly_in_place(tmp_path: Path, spec: str) -> None:
    made = degrade(tissue(1), Degradation.parse(spec), random=np.random.default_rng(0))
    with open_slide(write(tmp_path / "a.tif", tissue(1), made)) as slide:
        assert slide.levels[1].shift == (0, 0)


@pytest.mark.parametrize("name", ["another slide", "upside down", "blank", "noise"])
def test_what_shows_something_else_has_no_shift(tmp_path: Path, name: str) -> None:
    with open_slide(write(tmp_path / "a.tif", tissue(1), odd_levels()[name])) as slide:
        assert slide.levels[1].shift == (0, 0)


def test_fields_that_disagree_have_no_shift(tmp_path: Path) -> None:
    parts = [beside(*shift) for shift in ((2, 0), (-2, 0), (0, 2), (0, -2))]
    half = len(parts[0]) // 2
    level = parts[0].copy()
    for number, part in enumerate(parts):
        rows, columns = (slice(half * place, half * (place + 1)) for place in divmod(number, 2))
        level[rows, columns] = part[rows, columns]
    with open_slide(write(tmp_path / "a.tif", tissue(1), level)) as slide:
        assert slide.levels[1].shift == (0, 0)


@pytest.mark.parametrize(("height", "factor"), [(1001, 2), (513, 2), (603, 4)])
def test_a_level_that_drifts_is_left_as_it_is(tmp_path: Path, height: int, factor: int) -> None:
    """As any resizing program makes it of an odd size."""
    fine = tissue(2, 1001)[:height]
    size = (1001 // factor, height // factor)
    level = np.asarray(Image.fromarray(fine).resize(size, Image.Resampling.BOX))
    with open_slide(write(tmp_path / "a.tif", fine, level)) as slide:
        assert slide.levels[1].downsample == factor
        assert slide.levels[1].shift == (0, 0)


def test_an_odd_size_hides_no_shift(tmp_path: Path) -> None:
    fine = tissue(1, 601)
    shifted = moved(fine.astype(float), (-2, 3, 0), order=3, mode="nearest").round().clip(0, 255)
    level = degrade(shifted[:600, :600].astype(np.uint8), Degradation.parse("box"))
    with open_slide(write(tmp_path / "a.tif", fine, level)) as slide:
        assert slide.levels[1].shift == pytest.approx((3, -2), abs=WITHIN)


@pytest.mark.parametrize("darker", [8, 30])
def test_brightness_is_no_shift(tmp_path: Path, darker: int) -> None:
    level = (tissue(1)[::2, ::2].astype(int) - darker).clip(0, 255).astype(np.uint8)
    with open_slide(write(tmp_path / "a.tif", tissue(1), level)) as slide:
        assert slide.levels[1].shift == pytest.approx((0.5, 0.5), abs=WITHIN)


def test_a_level_that_cannot_be_read_is_in_place_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.tif", tissue(1), beside(4, -2))
    with open_slide(path) as slide:
        calls = []

        def broken(*given: Any) -> NDArray[np.uint8]:
            calls.append(given)
            raise SlideError("the disk is away")

        with monkeypatch.context() as away:
            away.setattr(FileDegradation, "_tile", broken)
            assert slide.levels[1].shift == (0, 0)
            tried = len(calls)
            assert slide.levels[1].shift == (0, 0)
            assert len(calls) == tried > 0
        assert slide.levels[1].shift == (0, 0)
    with open_slide(path) as slide:
        assert slide.levels[1].shift == pytest.approx((4, -2), abs=WITHIN)


def test_arrays_are_in_place() -> None:
    with ArraySlide({1: tissue(1), 2: beside(4, -2)}) as slide:
        found = enhance(
            slide, (64, 64, 128, 128), 2, model=load_model("cwtnet-lite-x2"), device="cpu"
        )
    assert "input_shift" not in found.provenance


def test_a_shift_that_explains_little_is_none(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 90, (256, 256, 1))
    level = (beside(1, 0) + noise).clip(0, 255).astype(np.uint8)
    with open_slide(write(tmp_path / "a.tif", tissue(1), level)) as slide:
        assert slide.levels[1].shift == (0, 0)


def test_shifts_add_up_from_level_to_level(tmp_path: Path) -> None:
    first = beside(3, -2)
    second = degrade(
        moved(first.astype(float), (1, 1, 0), order=3, mode="nearest").round().astype(np.uint8),
        Degradation.parse("box"),
    )
    with open_slide(write(tmp_path / "a.tif", tissue(1), first, second)) as slide:
        assert slide.levels[2].shift == pytest.approx((5, 0), abs=2 * WITHIN)


def test_a_registered_read_is_where_level_0_is(tmp_path: Path) -> None:
    region = Region(100, 80, 256, 256)
    path = write(tmp_path / "a.tif", tissue(1), beside(4, -2))
    with open_slide(path) as slide:
        truth = slide.read(region, 2, source=1, by="box").astype(float)
        as_stored, registered = (
            slide.read(region, 2, registered=on).astype(float) for on in (False, True)
        )
        assert np.abs(registered - truth).mean() < 1.5 < 8 < np.abs(as_stored - truth).mean()


def enlarged_input(slide: Slide) -> NDArray[np.uint8]:
    return enlarged(slide, plan_of(slide), reference=False)


def own_pixels(slide: Slide) -> NDArray[np.uint8]:
    return slide_on_grid(slide, plan_of(slide, downsample=4))


def truth_of(slide: Slide) -> NDArray[np.uint8]:
    found = truth(slide, plan_of(slide, downsample=4))
    assert found is not None
    return found


def of_a_check(slide: Slide) -> NDArray[np.uint8]:
    return check_levels(slide, REGION, 2, 2).slide.read_level(1, 0, 0, 192, 192)


def of_a_training(slide: Slide) -> NDArray[np.uint8]:
    return read_field(slide, REGION, 1, 2, "stored").lr


def resampled(slide: Slide) -> NDArray[np.uint8]:
    return ResampledLevel(slide, 2.0, Size(256, 256), "box")[0:192, 0:192]


def plan_of(slide: Slide, downsample: float = 2) -> Plan:
    return make_plan(slide, load_model("cwtnet-lite-x2"), EnhanceRequest(REGION, downsample))


@pytest.mark.parametrize(
    "read",
    [enlarged_input, own_pixels, truth_of, of_a_check, of_a_training, resampled],
)
def test_it_is_read_from_where_it_lies(
    tmp_path: Path, read: Callable[[Slide], NDArray[np.uint8]]
) -> None:
    found = []
    for across in (0, 4):
        path = write(tmp_path / f"{across}.tif", tissue(1), beside(across, 0))
        with open_slide(path) as slide:
            found.append(read(slide).astype(float)[8:-8, 8:-8])
    assert np.abs(found[0] - found[1]).mean() < 1.5


def test_cross_scale_keeps_its_gain_on_a_level_that_lies_beside(tmp_path: Path) -> None:
    gains = {}
    model = load_model("cwtnet-lite-x4")
    coarse = degrade(tissue(1), Degradation.parse("box"), 4)
    for across in (0, 2):
        path = write(tmp_path / f"{across}.tif", tissue(1), beside(across, 0), coarse)
        with open_slide(path) as slide:
            request = EnhanceRequest(Region(64, 64, 256, 256), 4)
            plan = make_plan(slide, model, request)
            assert plan.with_reference
            found = enhance(slide, request.region, 4, model=model, device="cpu")
            quality = measure(slide, plan, found.image)
            assert quality.psnr is not None
            assert quality.psnr_bicubic is not None
            gains[across] = quality.psnr - quality.psnr_bicubic
            shifts = [found.provenance.get(f"{name}_shift") for name in ("input", "reference")]
    assert gains[2] > gains[0] - 0.4
    assert shifts[0] is None
    assert shifts[1] == pytest.approx([2, 0], abs=WITHIN)


def test_info_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.tif", tissue(1), beside(4, -2))
    assert main(["info", str(path)]) == 0
    said = capsys.readouterr().out
    assert "4 px right of and 2 px above its place (level-0 px), corrected" in said
    assert main(["info", str(path), "--json"]) == 0

    shift = json.loads(capsys.readouterr().out)["levels"][1]["shift"]
    assert shift == pytest.approx([4, -2], abs=WITHIN)
