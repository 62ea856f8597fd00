"""A table on the real levels of a slide, as the paper's MLCamSR has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_cwtnet.errors import RequestError
from napari_cwtnet.evaluation.reproduce import TABLES
from napari_cwtnet.evaluation.reproduce.data import crops, fields_to_test, sources_of
from napari_cwtnet.evaluation.reproduce.experiment import Budget
from napari_cwtnet.evaluation.reproduce.runs import plan_run
from napari_cwtnet.slides import open_slide
from napari_cwtnet.training.data import load_data
from napari_cwtnet.training.fields import shrink
from napari_cwtnet.training.slide_fields import tissue_mask


def test_fields_of_a_slide_are_its_own_levels(data_dir, tmp_path: Path) -> None:
    folder = data_dir / "slides/prostate_pyramid_tiff"
    table = TABLES["table1"]
    row = next(r for r in table.rows(2, "levels") if r.changes is not None)
    run = plan_run(
        table,
        row,
        scale=2,
        seed=0,
        budget=Budget(steps=1),
        data=folder,
        degradation="levels",
    )
    assert [slide.path for slide in run.recipe.slides] == ["slide.tiff"]
    assert run.recipe.slides[0].levels == "stored"
    fields = fields_to_test(run.recipe, folder, 128, 1)
    with open_slide(folder / "slide.tiff") as slide:
        level = slide.read(slide.bounds, 2)
    height, width = fields[0].lr.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(level, (height, width, 3))[:, :, 0]
    same = (windows[..., 0, 0, :] == fields[0].lr[0, 0]).all(-1)
    found = [
        np.array_equal(level[y : y + height, x : x + width], fields[0].lr)
        for y, x in zip(*np.nonzero(same), strict=True)
    ]
    assert sum(found) == 1
    assert not np.array_equal(fields[0].lr, shrink(fields[0].truth, 2))


def test_fields_of_a_slide_without_tissue_in_their_middle_are_left_out(data_dir) -> None:
    folder, table = data_dir / "slides/prostate_pyramid_tiff", TABLES["table1"]
    row = next(r for r in table.rows(4, "levels") if r.changes is not None)
    recipe = plan_run(
        table, row, scale=4, seed=0, budget=Budget(steps=1), data=folder, degradation="levels"
    ).recipe
    every = crops(load_data(recipe, folder).held_out, 4, 128, 4)
    tested = fields_to_test(recipe, folder, 128, 4)
    shares = [tissue_mask(field.truth).mean() for field in every]
    assert min(shares) < 0.25
    assert [field.name for field in tested] == [
        field.name for field, share in zip(every, shares, strict=True) if share >= 0.25
    ]


def test_a_slide_with_one_level_does_not_count(tmp_path: Path) -> None:
    Image.new("RGB", (256, 256)).save(tmp_path / "flat.tif")
    with pytest.raises(RequestError, match="no slide that stores levels of downsample 1 and 2"):
        sources_of(tmp_path, "levels", 2)
