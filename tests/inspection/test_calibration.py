"""A promise about what is not marked, and whether it is kept."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from napari_cwtnet.enhancement import Engine, EnhanceRequest, Plan, enhance, make_plan
from napari_cwtnet.enhancement.check import tissue_fields
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection import calibration
from napari_cwtnet.inspection.calibration import (
    Calibration,
    MeasuredField,
    Promise,
    calibrate,
    chosen_threshold,
    in_pixels,
    in_squares,
    keep_calibration,
    kept_calibration,
    measure_field,
)
from napari_cwtnet.inspection.trust import expected_error
from napari_cwtnet.model import load_model
from napari_cwtnet.slides import Slide, open_slide


@pytest.fixture
def _own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CWTNET_CONFIG", str(tmp_path))


@pytest.fixture(scope="module")
def textured(tmp_path_factory: pytest.TempPathFactory):
    """A slide of 2,048 × 1,536 pixels whose texture is finer and stronger in some places."""
    random = np.random.default_rng(3)
    fine = gaussian_filter(random.normal(size=(1536, 2048, 3)), (0.8, 0.8, 0))
    where = gaussian_filter(random.normal(size=(1536, 2048)), 60)[..., None]
    strength = 6 + 40 * (where / where.std()).clip(0, 2)
    pixels = np.clip(150 + strength * fine / fine.std(), 0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("slide") / "textured.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(256, 256))
    with open_slide(path, mpp=0.5) as slide:
        yield slide


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_model("cwtnet-lite-x2"), "cpu", 0, dtype="float32")


def plan_of(slide: Slide, engine: Engine, downsample: float = 1.0) -> Plan:
    return make_plan(slide, engine.model, EnhanceRequest(slide.bounds, downsample, "none"))


def test_a_field_keeps_within_the_limit_at_its_critical_threshold_and_not_above() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        field = MeasuredField(random.normal(size=40), random.random(40) < 0.4, "")
        threshold = field.critical(0.1)
        assert field.missed(threshold) <= 0.1
        if math.isfinite(threshold):
            assert field.missed(threshold + 1e-9) > 0.1
        else:
            assert field.wrong.mean() <= 0.1
        assert field.marked(-math.inf) == 1


def test_a_field_that_nobody_has_seen_keeps_the_promise_as_often_as_promised() -> None:
    random = np.random.default_rng(1)
    kept = [
        random.exponential()
        >= (chosen_threshold(list(random.exponential(size=12)), Promise()) or 0)
        for _ in range(4000)
    ]
    assert 0.9 <= np.mean(kept) < 0.95  # 12 of 13


@pytest.mark.parametrize(("share", "fields"), [(0.9, 9), (0.8, 4), (0.95, 19)])
def test_fewer_fields_than_the_promise_needs_give_no_threshold(share: float, fields: int) -> None:
    assert Promise(share=share).least_fields == fields
    assert chosen_threshold([1.0] * fields, Promise(share=share)) == 1.0
    assert chosen_threshold([1.0] * (fields - 1), Promise(share=share)) is None


def test_what_is_expected_to_be_wrong_is_marked_where_nothing_ever_was() -> None:
    assert chosen_threshold([math.inf] * 12, Promise(wrong=10)) == 10


def test_what_is_not_known_is_marked() -> None:
    found = Calibration(7.0, Promise(), 12, 1, 2.0, "box", 0.2, "0", "f", "single-image")
    expected = np.array([[np.nan, 1.0], [np.inf, 9.0]], np.float32).repeat(4, 0).repeat(4, 1)
    assert found.mark(expected, 2).tolist() == [[True, False], [True, True]]


def test_squares_at_the_edge_are_means_of_what_is_there() -> None:
    values = np.arange(30, dtype=np.float32).reshape(5, 6)
    found = in_squares(values, 4)
    assert found.shape == (2, 2)
    assert found[0, 0] == values[:4, :4].mean()
    assert found[1, 1] == values[4:, 4:].mean()
    mask = in_pixels(found > 20, 10, 13)
    assert mask.shape == (10, 13)
    assert mask[:8].max() == 0
    assert mask[8:].min() == 1


def test_the_promise_holds_on_fields_that_were_not_measured(
    textured: Slide, engine: Engine
) -> None:
    said: list[tuple[int, int]] = []
    plan = plan_of(textured, engine)
    found = calibrate(textured, engine, plan, progress=lambda *n: said.append(n))
    assert said[-1] == (found.fields, found.fields)
    assert found.fields == 12
    assert found.octaves == 1
    assert "12 fields of this slide at half this magnification" in found.sentence
    assert found.threshold is not None
    assert 0 < found.marked < 1
    missed = []
    for x in range(90, 1600, 300):  # cuts of the same slide that were not measured
        for y in range(70, 1100, 300):
            region = Region(x, y, 384, 384)
            field = measure_field(textured, engine, plan, region, found.promise)
            missed.append(field.missed(found.threshold))
    assert np.mean(np.array(missed) <= found.promise.area) >= 0.75
    assert max(missed) < 3 * found.promise.area


def test_fields_are_drawn_without_regard_to_their_texture(
    textured: Slide, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the promise would be about fields like those with most texture."""
    drawn: list[Region] = []
    plain = calibration.measure_field

    def noted(slide: Slide, engine: Engine, plan: Plan, region: Region, *more: Any, **options: Any):
        drawn.append(region)
        return plain(slide, engine, plan, region, *more, **options)

    monkeypatch.setattr(calibration, "measure_field", noted)
    calibrate(textured, engine, plan_of(textured, engine))
    every = tissue_fields(textured, 1.0, 1000, 384)
    most = tissue_fields(textured, 1.0, 12, 384)
    assert set(drawn) <= set(every)
    assert len(set(drawn)) == 12 < len(every)
    assert set(drawn) != set(most)
    assert tuple(drawn) == tissue_fields(textured, 1.0, 12, 384, at_random=True)


def test_where_the_slide_holds_the_truth_its_own_reading_is_measured(
    textured: Slide, engine: Engine
) -> None:
    plan = plan_of(textured, engine, 2.0)
    found = calibrate(textured, engine, plan, fields=3, promise=Promise(share=0.7))
    assert found.octaves == 0
    assert "3 fields of this slide at this magnification" in found.sentence
    region = Region(512, 512, 384, 384)
    result = enhance(textured, region, 2, model=engine.model, reference="none", dtype="float32")
    expected = expected_error(result.image, textured.read(region, 2), result.error)
    again = measure_field(textured, engine, plan, region, found.promise)
    np.testing.assert_allclose(in_squares(expected, 4), again.expected, rtol=0.01)
    size = np.abs(result.image.astype(np.float32) - textured.read(region, 1)).mean(-1)
    assert ((in_squares(size, 8) > 12) == again.wrong).mean() > 0.99


def test_a_slide_with_few_fields_promises_nothing(slide: Slide, engine: Engine) -> None:
    found = calibrate(slide, engine, plan_of(slide, engine))
    assert found.threshold is None
    assert found.sentence.startswith("Not calibrated: 1 fields with tissue, 9 are needed")
    assert found.mark(np.zeros((8, 8), np.float32), 2).all()


def test_a_model_that_does_not_predict_its_error_is_refused(slide: Slide, make_engine) -> None:
    engine = make_engine(2)
    with pytest.raises(RequestError, match="does not predict its error"):
        calibrate(slide, engine, plan_of(slide, engine))


@pytest.mark.usefixtures("_own_config")
@pytest.mark.parametrize("threshold", [7.25, None])
def test_a_calibration_is_kept_for_its_kind_alone(
    slide: Slide, engine: Engine, threshold: float | None, tmp_path: Path
) -> None:
    plan = plan_of(slide, engine)
    sha, own = engine.model.sha256, slide.fingerprint
    found = Calibration(
        threshold, Promise(), 12, 1, 2.0, "box, JPEG 75", 0.2, sha, own, "single-image"
    )
    assert kept_calibration(slide, engine, plan) is None
    keep_calibration(slide, engine, plan, found)
    assert kept_calibration(slide, engine, plan) == found
    others = [
        (engine, plan_of(slide, engine, 2.0)),
        (engine, replace(plan, sharpness="soft")),
        (engine, replace(plan, mode="cross-scale")),
        (Engine(engine.model, "cpu", 0, dtype="bfloat16"), plan),
        (Engine(load_model("cwtnet-lite-x4"), "cpu", 0, dtype="float32"), plan),
    ]
    assert all(kept_calibration(slide, *one) is None for one in others)
    with open_slide(slide.path, icc=False) as plain:
        assert kept_calibration(plain, engine, plan) is None or plain.icc == slide.icc
    (file,) = tmp_path.glob("calibrations/*.json")
    for damage in ("{", "[]", json.dumps({"threshold": "many"})):
        file.write_text(damage)
        assert kept_calibration(slide, engine, plan) is None


def test_the_shipped_head_ranks_places_by_their_error(textured: Slide, engine: Engine) -> None:
    result = enhance(textured, Region(0, 0, 1024, 1024), 2, model=engine.model, reference="none")
    assert result.error is not None
    truth = textured.read(result.plan.region, 1)
    true = in_squares(np.abs(result.image.astype(np.float32) - truth).mean(-1), 8)
    predicted = in_squares(result.error, 4)
    assert np.corrcoef(predicted.ravel(), true.ravel())[0, 1] > 0.8
