"""Figures: what is in them, where, and in which size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from slides.pattern import write_ome

from export.whole_help import write_model
from napari_cwtnet.enhancement import enhance, enlarged, truth
from napari_cwtnet.errors import OutputError
from napari_cwtnet.export.figure import (
    Panel,
    draw_figure,
    result_caption,
    result_panels,
    scale_bar,
    write_figure,
)
from napari_cwtnet.slides import open_slide

GREY = np.full((400, 600, 3), 90, np.uint8)
RED = (122, 31, 31)


@pytest.mark.parametrize("mpp", [0.06, 0.25, 0.5, 3.0])
@pytest.mark.parametrize("width", [480, 777, 1600])
def test_the_scale_bar_is_as_long_as_it_says(mpp: float, width: int) -> None:
    length, pixels = scale_bar(mpp, width)
    assert pixels * mpp == pytest.approx(length)
    assert width / 10 <= pixels <= width / 4 + 1
    assert f"{length:.0e}"[0] in "125"


def bar_length(page: Image.Image, left: int, top: int, height: int, width: int) -> int:
    """White pixels of the bar in the lowest rows of a panel."""
    rows = np.asarray(page)[top + height - 30 : top + height, left : left + width]
    return int((rows == 255).all(axis=2).sum(axis=1).max())


@pytest.mark.parametrize(("side", "factor"), [(600, 1.0), (120, 4.0), (3200, 0.5)])
def test_panels_keep_their_pixels_and_the_bar_its_length(side: int, factor: float) -> None:
    image = np.full((side // 2, side, 3), 90, np.uint8)
    image[:, : side // 2] = 140
    page = draw_figure([Panel(image, "a"), Panel(image, "b")], mpp=0.5, badge="B", caption="C")
    width = round(side * factor)
    assert page.width == 2 * width + 3 * 24
    length, _ = scale_bar(0.5 / factor, width)
    pixels = np.asarray(page)
    grey = (pixels == 90).all(axis=2)
    top = int(np.flatnonzero(grey.sum(axis=1) > side * factor / 4)[0])
    assert bar_length(page, 24, top, width // 2, width) == pytest.approx(
        length / 0.5 * factor, abs=2
    )
    assert (pixels[top + 5, 24 : 16 + width // 2] == 140).all()


def test_what_is_computed_is_marked_on_its_panel_and_below() -> None:
    panels = [Panel(GREY, "before"), Panel(GREY, "after", computed=True)]
    badge = "COMPUTED · 40× from 20× · research use only"
    page = np.asarray(draw_figure(panels, mpp=None, badge=badge, caption="words " * 60))
    red = (page == RED).all(axis=2)
    half = page.shape[1] // 2
    rows = np.flatnonzero((page == 90).all(axis=2).sum(axis=1) > 300)
    assert red[rows[0] : rows[-1], half:].any()
    assert not red[rows[0] : rows[-1], :half].any()
    assert red[rows[-1] + 1 :].any(axis=0).sum() > page.shape[1] * 0.9  # a strip below all
    assert (page[rows[-1] + 60 :] < 60).any()  # the caption


@pytest.fixture
def tiny_model(tmp_path: Path) -> Path:
    """Of one small block."""
    return write_model(tmp_path, 2)


@pytest.fixture
def made(tmp_path: Path, tiny_model: Path):
    """A slide and a result of its second level, which can be checked."""
    slide = open_slide(write_ome(tmp_path / "a.ome.tif"))
    yield slide, enhance(slide, (100, 60, 300, 200), 2.0, model=tiny_model)
    slide.close()


def test_before_after_and_truth_are_of_one_place(made) -> None:
    slide, result = made
    before, after, real = result_panels(slide, result.plan, result.image, (10, 20, 110, 90))
    part = np.s_[20:90, 10:110]
    assert np.array_equal(after.image, result.image[part])
    assert np.array_equal(real.image, truth(slide, result.plan)[part])
    plan = result.plan
    want = enlarged(slide, plan, reference=plan.with_reference)[part]
    assert np.array_equal(before.image, want)
    assert [panel.computed for panel in (before, after, real)] == [False, True, False]
    assert "never saw" in result_caption(plan, result.metrics)


def test_beyond_native_there_is_no_truth(tmp_path: Path, tiny_model: Path) -> None:
    with open_slide(write_ome(tmp_path / "a.ome.tif")) as slide:
        result = enhance(slide, (100, 60, 100, 80), 1.0, model=tiny_model)
        panels = result_panels(slide, result.plan, result.image)
    assert [panel.title.split(":")[0] for panel in panels] == ["Before", "After"]
    assert "this cannot be checked" in result_caption(result.plan, None)


@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_written_whole_and_with_its_provenance(tmp_path: Path, made, ending: str) -> None:
    slide, result = made
    path = tmp_path / f"figure.{ending}"
    caption = result_caption(result.plan, result.metrics)
    panels = result_panels(slide, result.plan, result.image)
    write_figure(path, panels, result.provenance, mpp=result.mpp, caption=caption)
    content = path.read_bytes()
    assert b"a.ome" not in content  # names of files tell of patients
    if ending == "pdf":
        assert content.startswith(b"%PDF")
        assert b"/Title" in content
        return
    with Image.open(path) as picture:
        assert picture.info["Title"] == result.plan.badge
        assert json.loads(picture.info["Comment"])["computed"] is True
        shown = np.asarray(picture.convert("RGB"))
    width = 2 * result.image.shape[1]  # magnified, for it is small
    after = shown[:, 48 + width : 48 + 2 * width]
    for place in ((90, 200), (90, 30)):
        assert (after == result.image[place]).all(axis=2).sum() >= 4


def test_other_endings_and_folders_are_refused(tmp_path: Path) -> None:
    panels = [Panel(GREY, "a")]
    for path, words in (
        (tmp_path / "a.gif", "choose .png or .pdf"),
        (tmp_path / "no/a.png", "not exist"),
    ):
        with pytest.raises(OutputError, match=words):
            write_figure(path, panels, {"badge": "B"}, mpp=None, caption="")
