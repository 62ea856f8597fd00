"""Patches go through what a mix says, the same for the same seed, and are told no more of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.slides.degradation import UNKNOWN, Compression, Degradation, Kernel
from napari_cwtnet.training.degrade import MARGIN, DegradationMix, PatchMaker, other_tables
from napari_cwtnet.training.events import StepDone
from napari_cwtnet.training.fields import Field, PatchSampler, degraded_as
from napari_cwtnet.training.trainer import Trainer
from training.conftest import tiles, tiny_recipe
from training.test_trainer import assert_same_state

PLAIN = {
    "kernels": {"box": 1.0}, "sharpening": 0, "noise": 0, "jpeg": 0, "jpeg2000": 0, "twice": 0,
    "scale_jitter": 0, "colour_jitter": 0, "unknown_kernel": 0, "unknown_noise": 0,
    "unknown_compression": 0,
}  # fmt: skip
TRUTH = np.random.default_rng(5).integers(0, 256, (256, 320, 3), dtype=np.uint8)


def mix(**changes: object) -> DegradationMix:
    return DegradationMix.model_validate(PLAIN | changes)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_lr_and_reference_are_made_of_the_truth_beside_them(scale: int) -> None:
    maker = PatchMaker(mix(), scale, 16)
    lr, reference, truth, known = maker.make(TRUTH, np.random.default_rng(0))
    assert lr.shape == (16, 16, 3)
    assert reference.shape == (32, 32, 3)
    assert truth.shape == (16 * scale, 16 * scale, 3)
    means = truth.reshape(16, scale, 16, scale, 3).mean((1, 3))
    assert np.abs(means - lr).max() <= 1
    half = scale // 2
    means = truth.reshape(32, half, 32, half, 3).mean((1, 3))
    assert np.abs(means - reference).max() <= 1
    assert known[0].kernel == Kernel("box")
    assert known[0].compression == Compression("none")


def test_the_same_seed_gives_the_same_patches() -> None:
    maker = PatchMaker(DegradationMix(), 4, 16)
    first, second = (
        [maker.make(TRUTH, np.random.default_rng(seed)) for seed in range(20)] for _ in "ab"
    )
    for a, b in zip(first, second, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a[:3], b[:3], strict=True))
        assert a[3] == b[3]


def test_a_mix_draws_what_its_shares_say() -> None:
    random = np.random.default_rng(0)
    drawn = [DegradationMix().draw(random) for _ in range(3000)]
    kinds = Counter(one.compression.kind for one in drawn)
    assert kinds["jpeg"] / 3000 == pytest.approx(0.7, abs=0.04)
    assert kinds["jpeg2000"] / 3000 == pytest.approx(0.05, abs=0.02)
    kernels = Counter(one.kernel.name for one in drawn)
    assert kernels["box"] / 3000 == pytest.approx(0.3, abs=0.04)
    jpegs = [one.compression for one in drawn if one.compression.kind == "jpeg"]
    assert {one.subsampling for one in jpegs} == {"444", "422", "420"}
    assert min(one.quality for one in jpegs) == 25
    assert max(one.quality for one in jpegs) == 98
    in_rgb = [one for one in jpegs if one.rgb]
    assert len(in_rgb) / len(jpegs) == pytest.approx(0.08, abs=0.03)
    assert {one.subsampling for one in in_rgb} == {"444"}
    own = [one for one in jpegs if one.tables]
    assert len(own) / len(jpegs) == pytest.approx(0.25, abs=0.04)
    assert np.mean([one.sharpening > 0 for one in drawn]) == pytest.approx(0.2, abs=0.04)


def test_what_is_told_is_true_and_sometimes_less() -> None:
    random = np.random.default_rng(0)
    whole = Degradation.parse("box+sharpen0.5+noise2+jpeg75")
    told = [DegradationMix().known_part(whole, random) for _ in range(2000)]
    assert np.mean([one.kernel is None for one in told]) == pytest.approx(0.3, abs=0.04)
    assert np.mean([one.noise is None for one in told]) == pytest.approx(0.7, abs=0.04)
    assert np.mean([one.compression is None for one in told]) == pytest.approx(0.15, abs=0.03)
    for one in told:
        assert one.kernel in (None, whole.kernel)
        assert one.compression in (None, whole.compression)


def test_other_tables_are_tables() -> None:
    for seed in range(50):
        for table in other_tables(60, np.random.default_rng(seed)):
            assert len(table) == 64
            assert all(1 <= step <= 255 for step in table)


def test_compression_shows_in_the_patches_at_any_place_of_the_grid() -> None:
    maker = PatchMaker(mix(jpeg=1.0, quality=(25, 25), tables=0.0), 2, 32)
    clean = PatchMaker(mix(), 2, 32)
    lost = []
    for seed in range(8):
        lr, *_, known = maker.make(TRUTH, np.random.default_rng(seed))
        assert known[0].compression is not None
        assert known[0].compression.quality == 25
        lost.append(lr)
    assert len({image.tobytes() for image in lost}) == 8
    lr, *_ = clean.make(TRUTH, np.random.default_rng(0))
    assert np.abs(lr.astype(int) - lost[0]).mean() > 5


def test_scale_jitter_takes_a_larger_place() -> None:
    smooth = np.repeat(np.repeat(TRUTH[:64, :64], 4, 0), 4, 1)  # blocks of 4 equal pixels
    maker = PatchMaker(mix(scale_jitter=1.0, most_jitter=3.0), 2, 16)
    seen = [maker.make(smooth, np.random.default_rng(seed))[2] for seed in range(10)]
    edges = [np.abs(np.diff(one.astype(int), axis=1)).mean() for one in seen]
    assert max(edges) > 1.3 * min(edges)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"kernels": {"fitted": 1.0}}, "cannot be drawn"),
        ({"kernels": {"box": 0.0}}, "share above 0"),
        ({"validation": ["boxes"]}, "not understood"),
        ({"jpeg": 1.5}, "less than or equal to 1"),
        ({"nonsense": 1}, "Extra inputs"),
    ],
)
def test_a_wrong_mix_is_refused(fields: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        DegradationMix.model_validate(fields)


def test_a_field_that_is_known_is_taken_as_it_is() -> None:
    lr, reference = np.full((40, 40, 3), 7, np.uint8), np.full((80, 80, 3), 9, np.uint8)
    truth = np.full((80, 80, 3), 200, np.uint8)
    known = Degradation.parse("box+jpeg75")
    field = Field("own", lr, reference, truth, (known, UNKNOWN))
    sampler = PatchSampler([(1.0, [field])], 2, 16, mix())
    batch = sampler.batch(3, np.random.default_rng(0))
    assert torch.equal(batch.lr, torch.full((3, 3, 16, 16), 7 / 255))
    assert batch.degradation is not None
    assert batch.degradation[:, 0].any()
    assert not batch.degradation[:, 1].any()


def test_validation_fields_go_through_a_spec() -> None:
    field = Field("f", TRUTH[:32, :32], TRUTH[:64, :64], TRUTH[:64, :64])
    made = degraded_as(field, "box+jpeg50", 2)
    assert made.known[0] == Degradation.parse("box+jpeg50").without("noise")
    means = field.truth.reshape(32, 2, 32, 2, 3).mean((1, 3))
    assert 2 < np.abs(means - made.lr).mean() < 60


def test_fields_need_room_for_the_margin() -> None:
    assert not PatchMaker(mix(), 2, 16).fits(TRUTH[: 2 * (16 + 2 * MARGIN) - 1])
    assert PatchMaker(mix(), 2, 16).fits(TRUTH[: 2 * (16 + 2 * MARGIN)])


def test_a_run_goes_on_bit_for_bit(data_root: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(
        degradation={"noise": 0.5, "jpeg2000": 0.3}, preset="lite-2", patch=16, late_patch=16,
        late_share=0.5, steps=6, validate_every=2, network={"blocks": 1, "channels": 8, "tile": 32},
    )  # fmt: skip
    whole = Trainer(recipe, data_root, tmp_path / "whole")
    list(whole.run())
    cancel = CancelToken()
    first = Trainer(recipe, data_root, tmp_path / "parts")
    for event in first.run(cancel):
        if isinstance(event, StepDone) and event.step == 4:
            cancel.cancel()
    second = Trainer(recipe, data_root, tmp_path / "parts")
    assert second.state.step == 4
    list(second.run())
    assert_same_state(whole.state, second.state)


def test_tested_images_are_neither_trained_on_nor_measured(data_root: Path, tmp_path: Path) -> None:
    source = {
        "name": "b",
        "folder": "blocks",
        "licence": "CC0-1.0",
        "held_out": ["4*"],
        "tested": ["3*"],
    }
    trainer = Trainer(tiny_recipe(sources=[source]), data_root, tmp_path / "run")
    assert [field.name for _, fields in trainer.data.training for field in fields] == [
        "0.png", "1.png", "2.png",
    ]  # fmt: skip
    assert [field.name for field in trainer.data.held_out] == ["4.png"]
    assert tiles(3).shape == (64, 64, 3)


@pytest.mark.parametrize(
    "fields",
    [{"rate": [0, 6]}, {"quality": [98, 25]}, {"quality": [0, 50]}, {"jpeg": 0.9, "jpeg2000": 0.2}],
)
def test_ranges_and_shares_that_cannot_be_drawn_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"least first|together at most 1"):
        DegradationMix.model_validate(fields)
