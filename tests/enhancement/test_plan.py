"""What will happen is known, and said, before anything runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_cwtnet.enhancement import (
    EnhanceRequest,
    Quality,
    make_plan,
    measure,
    suiting_downsample,
    truth,
)
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region

FIELD = Region(0, 0, 400, 400)


@pytest.mark.parametrize(
    ("scale", "downsample", "reference", "share", "mode"),
    [
        (4, 4, "auto", 0.5, "cross-scale"),
        (4, 2, "auto", 0.5, "cross-scale"),
        (4, 1, "auto", 0.5, "single-image"),
        (4, 4, "auto", 0.0, "single-image"),
        (4, 4, "none", 0.5, "single-image"),
        (8, 4, "next", 0.5, "cross-scale"),
        (2, 4, "auto", 0.5, "single-image"),
        (2, 4, "next", 0.0, "oracle"),
    ],
)
def test_mode(pattern_slide, make_model, scale, downsample, reference, share, mode) -> None:
    model = make_model(scale, share=share)
    plan = make_plan(pattern_slide, model, EnhanceRequest(FIELD, downsample, reference))
    assert plan.mode == mode
    assert ("ORACLE" in plan.badge) == (mode == "oracle")
    assert ("ORACLE" in plan.sentence) == (mode == "oracle")


def test_words_of_a_cross_scale_plan_beyond_native(pattern_slide, make_model) -> None:
    plan = make_plan(pattern_slide, make_model(4), EnhanceRequest(FIELD, 2))
    assert plan.sentence == (
        "reads 0.500 µm/px (20×), reference 0.250 µm/px (40×), writes 0.125 µm/px (80×) — "
        "cannot be checked: the scanner recorded nothing this fine"
    )
    known = "COMPUTED · 80× from 20× · 0.125 µm/px · cross-scale · "
    assert plan.badge.startswith(known)
    assert plan.badge.endswith(" · research use only")
    assert plan.beyond_native
    assert plan.output_size == (800, 800)
    assert plan.output_mpp == pytest.approx(0.125)


def test_the_badge_tells_mode_and_what_was_read(pattern_slide, make_model) -> None:
    """Two results of one model, scale and place must not look the same."""
    badges = [
        make_plan(pattern_slide, make_model(4), EnhanceRequest(FIELD, downsample, given)).badge
        for downsample, given in [(4, "auto"), (4, "none"), (1, "none")]
    ]
    assert badges[0].startswith("COMPUTED · 40× from 10× · 0.25 µm/px · cross-scale · ")
    assert badges[1].startswith("COMPUTED · 40× from 10× · 0.25 µm/px · ")
    assert "cross-scale" not in badges[1]
    assert badges[2].startswith("COMPUTED · 160× from 40× · 0.0625 µm/px · ")


@pytest.mark.parametrize(
    ("mpp", "words"),
    [
        (None, "COMPUTED · ×4 · downsample 0.25 from 1 · "),
        (0.7, "COMPUTED · ×4 · 0.175 µm/px from 0.7 · "),
        (0.5, "COMPUTED · 80× from 20× · 0.125 µm/px · "),
    ],
)
def test_the_badge_is_in_magnifications_where_there_are(
    pattern_slide, make_model, mpp, words
) -> None:
    plan = make_plan(pattern_slide, make_model(4), EnhanceRequest(FIELD, 1, "none"))
    assert replace(plan, native_mpp=mpp).badge.startswith(words)


def test_checkable_is_said(pattern_slide, make_model) -> None:
    plan = make_plan(pattern_slide, make_model(4), EnhanceRequest(FIELD, 4))
    assert plan.sentence.endswith("the slide holds the truth, so the error is measured")
    assert not plan.beyond_native
    assert plan.checkable


@pytest.mark.parametrize(("scale", "downsample"), [(2, 1), (4, 2), (4, 3.9), (8, 4)])
def test_truth_is_never_claimed_beyond_native(pattern_slide, make_model, scale, downsample) -> None:
    model = make_model(scale)
    plan = make_plan(pattern_slide, model, EnhanceRequest(FIELD, downsample))
    assert not plan.checkable
    assert "holds the truth" not in plan.sentence
    assert truth(pattern_slide, plan) is None
    image = np.zeros((*plan.output_size[::-1], 3), np.uint8)
    assert measure(pattern_slide, plan, image) == Quality()


@pytest.mark.parametrize(
    ("region", "size"),
    [
        (Region(10, 20, 100, 60), (100, 60)),
        (Region(10.5, 20.25, 101, 63), (101, 63)),
        (Region(700, 500, 100, 100), (31, 17)),
        (Region(-50, -50, 60, 60), (10, 10)),
        (Region(5, 5, 0.3, 0.3), (1, 1)),
    ],
)
def test_output_size_is_that_of_the_region_on_the_slide(
    pattern_slide, make_model, region, size
) -> None:
    plan = make_plan(pattern_slide, make_model(4), EnhanceRequest(region, 4))
    assert plan.output_size == size


@pytest.mark.parametrize(
    ("scale", "share", "request_of", "message"),
    [
        (4, 0.5, lambda: EnhanceRequest(FIELD, 0.5), "Downsample 0.5 is below 1"),
        (4, 0.5, lambda: EnhanceRequest(FIELD, float("nan")), "Downsample nan is below 1"),
        (4, 0.5, lambda: EnhanceRequest(FIELD, 4, "best"), "Reference 'best' is unknown"),
        (4, 0.5, lambda: EnhanceRequest(FIELD, 1, "next"), "would be 0.5, finer than the slide"),
        (4, 0.0, lambda: EnhanceRequest(FIELD, 4, "next"), "was not trained with a reference"),
        (4, 0.5, lambda: EnhanceRequest(Region(731, 0, 9, 9), 4), "lies outside the slide"),
        (4, 0.5, lambda: EnhanceRequest(FIELD, 1e5), "leaves too little .* at most 64"),
    ],
)
def test_refusals(pattern_slide, make_model, scale, share, request_of, message) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        make_plan(pattern_slide, make_model(scale, share=share), request_of())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("screen_pixel", "scale", "downsample"),
    [(1, 4, 4), (0.5, 4, 2), (0.25, 4, 1), (0.01, 2, 1), (3.1, 2, 8), (1, 2, 2)],
)
def test_sr_pixels_meet_screen_pixels(screen_pixel, scale, downsample) -> None:
    assert suiting_downsample(screen_pixel, scale) == downsample
