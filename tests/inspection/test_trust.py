"""Trust maps light up where they should and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Engine, EnhanceRequest, enhance, make_plan
from napari_cwtnet.errors import CancelledError, RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection import (
    capture,
    coarser_scale_check,
    self_ensemble_spread,
    trust_sentence,
)
from napari_cwtnet.inspection.trust import (
    coarser_field,
    consistency,
    error,
    expected_error,
    local_psnr,
    local_ssim,
    trust_map,
    trust_maps,
)
from napari_cwtnet.metrics import psnr, ssim
from napari_cwtnet.model import load_model
from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.check_levels import check_levels
from napari_cwtnet.slides.degradation import Kernel
from napari_cwtnet.slides.degrade import shrink, shrink_exactly

REGION = Region(0, 0, 160, 128)


def test_the_kernel_is_that_of_reading(slide) -> None:
    fine, coarse = slide.read(Region(40, 40, 160, 160), 1), slide.read(Region(40, 40, 160, 160), 4)
    found = shrink_exactly(fine, Kernel("bicubic"), 4)
    inside = (slice(2, -2), slice(2, -2))
    apart = np.abs(found[inside] - coarse[inside])  # reading rounds after each of two passes
    assert apart.mean() < 0.35
    assert apart.max() < 2


def test_bicubic_agrees_with_itself(slide) -> None:
    lr = slide.read(REGION, 4)
    smooth = np.asarray(Image.fromarray(lr).resize((10, 8)).resize((40, 32)))
    enlarged = np.asarray(Image.fromarray(smooth).resize((160, 128), Image.Resampling.BICUBIC))
    found = consistency(enlarged, smooth)
    assert found.shape == (32, 40)
    assert np.isfinite(found[2:-2, 2:-2]).all()
    assert not np.isfinite(found[[0, 1, -2, -1]]).any()
    assert np.nanmean(found) < 0.6


def test_a_corrupted_patch_lights_up_there_and_nowhere_else(slide) -> None:
    lr = slide.read(REGION, 4)
    sr = np.asarray(Image.fromarray(lr).resize((160, 128), Image.Resampling.BICUBIC)).copy()
    before = consistency(sr, lr)
    sr[40:56, 80:104] = 255 - sr[40:56, 80:104]
    changed = consistency(sr, lr) - before
    inside = np.zeros(lr.shape[:2], bool)
    inside[10:14, 20:26] = True
    near = np.zeros_like(inside)
    near[8:16, 18:28] = True
    assert np.abs(changed[inside]).mean() > 20
    assert np.nanmax(np.abs(changed[~near])) < 1e-3


def test_the_kernel_that_is_known_is_the_one_that_shrinks(slide) -> None:
    fine = slide.read(Region(40, 40, 160, 160), 1)
    for kernel in (Kernel("box"), Kernel("bicubic"), Kernel("gauss", 0.8)):
        lr = shrink(fine, kernel, 2)
        assert np.nanmean(consistency(fine, lr, kernel)) < 0.6
        for other in {Kernel("box"), Kernel("gauss", 1.6)} - {kernel}:
            assert np.nanmean(consistency(fine, lr, other)) > 1


def test_what_contradicts_the_slide_is_expected_to_be_wrong(slide) -> None:
    fine = slide.read(Region(40, 40, 160, 160), 1)
    kernel = Kernel("box")
    lr, error = shrink(fine, kernel, 2), np.full((80, 80), 3.0, np.float32)
    assert (expected_error(fine, lr, error, kernel) == 3).all()
    pasted = fine.copy()
    pasted[40:64, 46:70] = fine[40:64, 40:64]  # moved by 6 pixels
    found = expected_error(pasted, lr, error, kernel)
    inside = np.zeros((80, 80), bool)
    inside[20:32, 23:35] = True
    assert found[inside].mean() > 12
    assert (found[~inside] == 3).all()
    alone = expected_error(pasted, lr, None, kernel)
    assert alone[inside] == pytest.approx(np.nan_to_num(consistency(pasted, lr, kernel))[inside])


def test_an_error_that_was_learnt_before_the_weights_says_so(slide, make_engine) -> None:
    """A fine-tuned model keeps the head, which its provenance then does not name."""
    shipped = Engine(load_model("cwtnet-lite-x2"), "cpu", 0)
    tuned = make_engine(2, error_channels=4)
    older = "fine-tuned since it learnt this"
    for engine, is_older in ((shipped, False), (tuned, True)):
        field = capture(slide, engine, EnhanceRequest(REGION, 2, "none"))
        for name in ("expected-error", "predicted-error"):
            assert (older in trust_map(field, name).meaning) == is_older
        assert older not in trust_map(field, "consistency").meaning


@pytest.mark.parametrize("stored", [False, True])
def test_the_model_is_told_no_more_of_a_coarser_field_than_it_knows(tmp_path, stored: bool) -> None:
    """Of a slide with a single level nobody knows the kernel; two levels reveal it."""
    random = np.random.default_rng(0)
    fine = np.clip(gaussian_filter(random.normal(128, 60, (512, 512, 3)), (1, 1, 0)), 0, 255)
    levels = [fine.astype(np.uint8)]
    while len(levels) < 1 + 2 * stored:
        levels.append(shrink(levels[-1], Kernel("box"), 2))
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as writer:
        for number, level in enumerate(levels):
            writer.write(level, tile=(64, 64), photometric="rgb", subfiletype=int(number > 0))
    engine = Engine(load_model("cwtnet-lite-x2"), "cpu", 0)
    with open_slide(path) as slide:
        downsample = 2.0 if stored else 1.0
        plan = make_plan(slide, engine.model, EnhanceRequest(slide.bounds, downsample, "none"))
        knows = engine.known(slide, plan)[0].kernel is not None
        assert knows == stored
        with coarser_field(slide, engine, plan, slide.bounds, 1) as (pyramid, coarser):
            assert (engine.known(pyramid, coarser)[0].kernel is not None) == stored


def test_spread_is_zero_for_a_network_that_does_not_care(slide, make_engine) -> None:
    for scale, reference in ((4, "next"), (4, "none"), (2, "none")):
        engine = make_engine(scale)  # untrained: exactly bicubic
        field = capture(slide, engine, EnhanceRequest(REGION, 2, reference))
        assert self_ensemble_spread(field, engine).max() < 1e-2


def test_spread_is_that_of_eight_enhancements(slide, make_engine) -> None:
    engine = make_engine(seed=3)
    region = Region(20, 20, 20 * 2, 20 * 2)
    field = capture(slide, engine, EnhanceRequest(region, 2))
    found = self_ensemble_spread(field, engine)
    assert found.shape == field.sr.shape[:2]
    assert found.mean() > 0.1
    part = field.parts[0]
    answers = []
    for turn in (lambda a: a, lambda a: np.swapaxes(a, 0, 1)):
        for quarters in range(4):
            lr, reference = (
                np.ascontiguousarray(turn(np.rot90(i, quarters))) for i in (part.lr, part.reference)
            )
            sr = engine.infer(lr, reference).sr[0].permute(1, 2, 0).numpy().clip(0, 1) * 255
            answers.append(np.rot90(turn(sr), -quarters))
    want = np.sqrt(np.var(answers, axis=0).mean(-1))
    place = part.place
    rows = slice(4 * place.tile_rows.start, 4 * place.tile_rows.stop)
    columns = slice(4 * place.tile_columns.start, 4 * place.tile_columns.stop)
    here = found[
        4 * place.rows.start : 4 * place.rows.stop, 4 * place.columns.start : 4 * place.columns.stop
    ]
    assert here == pytest.approx(want[rows, columns], abs=1e-2)


def test_errors_against_the_slide(slide, make_engine) -> None:
    field = capture(slide, make_engine(seed=3), EnhanceRequest(REGION, 4))
    truth = slide.read(REGION, 1).astype(float)
    assert error(field) == pytest.approx(np.abs(field.sr - truth).mean(-1), abs=1e-4)
    assert local_ssim(field).shape == local_psnr(field).shape == (128, 160)
    assert local_ssim(field)[5:-5, 5:-5].mean() == pytest.approx(ssim(field.sr, field.truth))
    one = replace(field, sr=field.truth.copy())
    one.sr[60, 70] ^= 255
    assert local_ssim(one)[40:50].mean() == pytest.approx(1)
    assert local_psnr(one)[40:50] == pytest.approx(60)
    assert np.unravel_index(local_psnr(one).argmin(), (128, 160)) == (60, 70)
    flat = replace(field, sr=np.full_like(field.sr, 100), truth=np.full_like(field.sr, 110))
    assert local_psnr(flat) == pytest.approx(psnr(flat.sr, flat.truth))


def test_the_scale_is_the_same_for_every_field(slide, make_engine) -> None:
    field = capture(slide, make_engine(seed=3), EnhanceRequest(REGION, 4))
    right = replace(field, sr=field.truth)
    wrong = replace(field, sr=255 - field.truth)
    for one in (right, wrong):
        for found in trust_maps(one, np.zeros(field.sr.shape[:2], np.float32)):
            if found.unit == "grey levels":
                assert (found.low, found.high) == (0, 20)
                assert "Fixed scale, 0 to 20 grey levels" in found.legend
    stretched = trust_map(wrong, "error").stretched
    assert stretched.high > 20
    assert "Fixed" not in stretched.legend


def test_the_mean_of_s_is_not_shown_as_a_measure_of_trust(slide, make_engine) -> None:
    field = capture(slide, make_engine(seed=3), EnhanceRequest(REGION, 4))
    shown = trust_map(field, "confidence")
    assert "near −1 as much as near 1" in shown.meaning
    assert shown.name not in [one.name for one in trust_maps(field)]


def test_no_truth_beyond_native(slide, make_engine) -> None:
    field = capture(slide, make_engine(), EnhanceRequest(REGION, 2))
    assert error(field) is local_psnr(field) is local_ssim(field) is None


@pytest.mark.parametrize(
    ("downsample", "octaves", "words"),
    [(1, 2, "a quarter of"), (2, 1, "half"), (4, 1, "half")],
)
def test_extrapolation(slide, make_engine, downsample, octaves, words) -> None:
    engine = make_engine(seed=3)
    region = Region(0, 0, 256, 256)
    field = capture(slide, engine, EnhanceRequest(region, downsample))
    found = coarser_scale_check(slide, engine, field)
    assert found.octaves == octaves
    reference = "none" if downsample == 1 else "next"
    coarser = downsample * 2**octaves
    scale = engine.model.scale
    with check_levels(slide, region, coarser, scale).slide as levels:
        direct = enhance(
            levels, levels.bounds, scale, model=engine.model, reference=reference, dtype="float32"
        )
    assert found.quality == direct.metrics
    over = direct.metrics.psnr_reference_bicubic
    over = direct.metrics.psnr_bicubic if over is None else over
    gain = direct.metrics.psnr - over
    assert found.gain == pytest.approx(gain)
    word, than = "better" if gain > 0 else "worse", "" if downsample == 1 else " of the reference"
    assert found.sentence.startswith(
        f"Tested at {words} this magnification: {abs(gain):.1f} dB {word} than plain enlargement"
        f"{than}."
    )
    here = " At this magnification, from input made here without compression: "
    assert (here in found.sentence) == (downsample == 4)
    stored = replace(found, stored=True)  # the slide has a single level
    assert (" At this magnification: " in stored.sentence) == (downsample == 4)


def test_extrapolation_says_that_a_field_is_too_small(slide, make_engine) -> None:
    engine = make_engine()
    field = capture(slide, engine, EnhanceRequest(Region(0, 0, 16, 16), 1))
    assert coarser_scale_check(slide, engine, field).sentence == (
        "Tested at a quarter of this magnification: not known, the region is too small to measure."
    )


def test_an_oracle_and_empty_glass_have_no_gain(slide, make_engine, tmp_path) -> None:
    engine = make_engine(2, seed=3)
    field = capture(slide, engine, EnhanceRequest(REGION, 2, "next"))
    assert field.plan.mode == "oracle"
    assert coarser_scale_check(slide, engine, field) is None
    assert trust_sentence(field, None).startswith("ORACLE: the network was given the answer")
    path = tmp_path / "glass.tif"
    tifffile.imwrite(path, np.full((320, 400, 3), 240, np.uint8), photometric="rgb", tile=(64, 64))
    for seed in (None, 3):  # bicubic is exact here, and so is the untrained model
        engine = make_engine(4, seed=seed)
        with open_slide(path) as glass:
            field = capture(glass, engine, EnhanceRequest(Region(0, 0, 320, 320), 4))
            found = coarser_scale_check(glass, engine, field)
        assert found.gain is found.gain_here is None
        assert found.sentence == (
            "Tested at half this magnification: not known, the region shows no detail."
        )


def test_spread_is_of_the_weights_that_captured(slide, make_engine) -> None:
    field = capture(slide, make_engine(seed=3), EnhanceRequest(REGION, 2))
    with pytest.raises(RequestError, match=r"other weights.*capture it again"):
        self_ensemble_spread(field, make_engine(seed=4))


def test_spread_can_be_cancelled(slide, make_engine) -> None:
    engine, token = make_engine(), CancelToken()
    field = capture(slide, engine, EnhanceRequest(REGION, 2))
    token.cancel("enough")
    with pytest.raises(CancelledError, match="enough"):
        self_ensemble_spread(field, engine, cancel=token)
