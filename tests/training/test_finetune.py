"""A fine-tuned model has gained on the slide, and is never worse than what it came from."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from enhancement.test_check import write_pyramid
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import OutputError, TrainingError
from napari_cwtnet.model import (
    CwtNet,
    Model,
    NetworkConfig,
    list_models,
    load_model,
    read_weights,
    save_weights,
)
from napari_cwtnet.model.weights import read_header
from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.degradation import Degradation, Kernel
from napari_cwtnet.slides.degrade import degrade
from napari_cwtnet.training.events import (
    CheckpointWritten,
    Done,
    Preview,
    StepDone,
    Validation,
)
from napari_cwtnet.training.finetune import (
    finetune_recipe,
    finetune_reports,
    install,
    slide_source,
)
from napari_cwtnet.training.recipe import Recipe
from napari_cwtnet.training.trainer import Trainer
from napari_cwtnet.training.validation import enhanced, enlarged
from training.conftest import TINY, tiles
from training.test_trainer import assert_same_state

FAST = {
    "patch": 16,
    "batch": 2,
    "steps": 6,
    "validate_every": 3,
    "warm_up": 2,
    "learning_rate": 1e-2,
    "ema": 0.5,
}


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """Flat tiles in two colours, 768 × 192 pixels; enough to learn that edges are sharp."""
    path = tmp_path / "patient-name.png"
    Image.fromarray(np.concatenate([tiles(n, 192) for n in range(4)], 1)).save(path)
    return path


def start_model(folder: Path, scale: int = 2, share: float = 0.0) -> Model:
    """A small network with a skip: untrained, it is exactly the bicubic enlargement."""
    torch.manual_seed(1)
    fields = TINY | {"halo": 8, "scale": scale, "skip": "finest"}
    network = CwtNet(NetworkConfig.model_validate(fields))
    save_weights(folder / "start.safetensors", network, {"reference_share": share})
    return load_model(folder / "start.safetensors")


def recipe_for(slide: Path, model: Model, source: dict[str, Any] | None = None, **fields: Any):
    settings = {"validation_fields": 3} | (source or {})
    return finetune_recipe(model, [slide_source(slide, **settings)], FAST | fields)


def test_gains_over_the_start_model(slide: Path, tmp_path: Path) -> None:
    model = start_model(tmp_path)
    recipe = recipe_for(slide, model, steps=80, validate_every=40, batch=4)
    trainer = Trainer(recipe, Path(), tmp_path / "run")
    events = list(trainer.run())
    first, *_, last = [event for event in events if isinstance(event, Validation)]
    assert (first.step, first.best) == (0, True)
    assert first.psnr == pytest.approx(first.psnr_bicubic, abs=0.02)
    assert last.psnr > first.psnr + 0.3
    figures, paired = finetune_reports(trainer)
    assert paired is None
    assert figures.before.psnr == first.psnr
    assert figures.after.psnr == trainer.state.best_psnr > figures.before.psnr + 0.3
    assert figures.after.ssim > figures.before.ssim
    assert trainer.improved
    assert figures.bicubic.psnr == first.psnr_bicubic
    resumed = Trainer(recipe, Path(), tmp_path / "run")
    assert finetune_reports(resumed) == (figures, None)


def test_a_model_that_is_told_learns_from_the_slide_s_own_levels(tmp_path: Path) -> None:
    """The stored level where there is one, and what its file gives away, as enhancing tells it."""
    finest = np.concatenate([tiles(n, 192) for n in range(4)], 1)
    half = degrade(finest, Degradation(Kernel("box")))
    stored = write_pyramid(tmp_path / "stored.tif", [finest, half], 85)
    single = write_pyramid(tmp_path / "single.tif", [finest], 60)
    fields = TINY | {"halo": 8, "scale": 2, "skip": "finest", "conditioning": 8}
    network = CwtNet(NetworkConfig.model_validate(fields))
    save_weights(tmp_path / "told.safetensors", network, {})
    model = load_model(tmp_path / "told.safetensors")
    recipe = recipe_for(stored, model)
    assert recipe.degradation is not None
    assert recipe.slides[0].levels == "own"
    trainer = Trainer(recipe, Path(), tmp_path / "run")
    (*_, done) = trainer.run()
    assert isinstance(done, Done)
    assert load_model(done.weights).takes_degradation
    with open_slide(stored) as slide:
        known, level = slide.degradation(2), slide.read(slide.bounds, 2)
    assert (known.kernel, known.compression.quality) == (Kernel("box"), 85)
    for field in trainer.held_out:
        assert field.known[0] == known
        windows = np.lib.stride_tricks.sliding_window_view(level, field.lr.shape)
        assert (windows == field.lr).all((-3, -2, -1)).any()
    soft = recipe_for(single, model, {"sharpness": "soft"})
    for field in Trainer(soft, Path(), tmp_path / "soft").held_out:
        assert field.known[0].kernel == Kernel("gauss", 0.8)
        assert field.known[0].compression.quality == 60


def test_report_of_an_older_state_measures_what_it_does_not_say(
    slide: Path, tmp_path: Path
) -> None:
    recipe = recipe_for(slide, start_model(tmp_path, 4, share=0.5), learning_rate=1e-3)
    trainer = Trainer(recipe, Path(), tmp_path / "run")
    list(trainer.run())
    told = finetune_reports(trainer)
    path = tmp_path / "run" / "last.safetensors"
    with safe_open(path, framework="pt") as archive:
        metadata = archive.metadata()
    progress = json.loads(metadata["progress"])
    del progress["best_by_mode"]
    save_file(load_file(path), path, metadata | {"progress": json.dumps(progress)})
    older = Trainer(recipe, Path(), tmp_path / "run")
    assert older.state.best_by_mode is None
    assert older.state.best_psnr == trainer.state.best_psnr
    for report, other in zip(finetune_reports(older), told, strict=True):
        assert report is not None
        assert other is not None
        assert report.after.psnr == pytest.approx(other.after.psnr, abs=0.01)
        assert replace(report, after=other.after) == other


def test_measures_the_file_of_the_best_model_as_it_measured_the_weights(
    slide: Path, tmp_path: Path
) -> None:
    """Bit for bit: were they in another memory format, some processors would round otherwise."""
    recipe = recipe_for(slide, start_model(tmp_path), steps=40, validate_every=40)
    trainer = Trainer(recipe, Path(), tmp_path / "run")
    previews = [event for event in trainer.run() if isinstance(event, Preview)]
    assert trainer.improved
    field = trainer._validator.shown
    made = enhanced(trainer.best_network(), field, with_reference=False)
    assert np.array_equal(made, previews[-1].now)


def test_weights_say_where_they_come_from_and_never_whose_slide_it_was(
    slide: Path, tmp_path: Path
) -> None:
    model = start_model(tmp_path)
    recipe = recipe_for(slide, model)
    (*_, done) = Trainer(recipe, Path(), tmp_path / "run").run()
    assert isinstance(done, Done)
    made = load_model(done.weights)
    assert made.config == model.config
    assert made.provenance["parent"] == {"name": "start", "sha256": model.sha256}
    assert model.sha256 == hashlib.sha256(model.path.read_bytes()).hexdigest()
    told = Recipe.model_validate(made.provenance["recipe"])
    assert told.slides[0].fingerprint == recipe.slides[0].fingerprint
    assert told.start is not None
    assert told.start.name == "start"
    text = json.dumps(made.provenance)
    assert "patient" not in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize("scale", [2, 4])
def test_never_below_the_start_model(slide: Path, tmp_path: Path, scale: int) -> None:
    """Steps far too large ruin the network; what comes out is what went in, bit for bit."""
    model = start_model(tmp_path, scale, share=0.5 if scale == 4 else 0.0)
    recipe = recipe_for(slide, model, learning_rate=0.3)
    trainer = Trainer(recipe, Path(), tmp_path / "run")
    validations = [event for event in trainer.run() if isinstance(event, Validation)]
    assert [event.best for event in validations] == [True, False, False]
    assert validations[-1].psnr < validations[0].psnr - 1
    tuned = load_model(trainer.weights).network.state_dict()
    assert all(torch.equal(tuned[n], v) for n, v in model.network.state_dict().items())
    alone, paired = finetune_reports(trainer)
    assert alone.before == alone.after
    assert not trainer.improved
    assert (paired is None) == (scale == 2)
    assert paired is None or paired.before == paired.after


def test_no_mode_may_lose_for_the_other(slide: Path, tmp_path: Path) -> None:
    """The mean of both modes rises, but the single-image mode falls below the start."""
    recipe = recipe_for(slide, start_model(tmp_path, 4, share=0.5))
    trainer = Trainer(recipe, Path(), tmp_path / "run")
    assert trainer._judge(25.0, 30.0).best
    kept = trainer.weights.read_bytes()
    assert not trainer._judge(24.9, 31.0).best
    assert not trainer._judge(26.0, 29.9).best
    assert trainer.weights.read_bytes() == kept
    assert trainer._judge(25.0, 30.1).best


@pytest.mark.parametrize(("scale", "share"), [(2, 0.0), (4, 0.5)])
def test_preview_is_one_held_out_field(
    slide: Path, tmp_path: Path, scale: int, share: float
) -> None:
    """In single-image mode, also where the run trains both."""
    model = start_model(tmp_path, scale, share)
    recipe = recipe_for(slide, model)
    assert recipe.reference_share == share
    trainer = Trainer(recipe, Path(), tmp_path / "run")
    previews = [event for event in trainer.run() if isinstance(event, Preview)]
    assert [event.step for event in previews] == [0, 3, 6]
    (field,) = (f for f in trainer.held_out if np.array_equal(f.truth, previews[0].truth))
    before = enhanced(trainer.start.network, field, with_reference=False)
    for event in previews:
        assert event.lr is field.lr
        assert np.array_equal(event.before, before)
        assert event.now.shape == event.truth.shape
        assert event.now.dtype == np.uint8
    assert np.array_equal(previews[0].now, previews[0].before)
    expected = enhanced(trainer.state.average, field, with_reference=False)
    assert np.array_equal(previews[2].now, expected)
    assert not np.array_equal(previews[2].now, previews[2].before)


def test_preview_without_a_start_model_shows_bicubic_before(slide: Path, tmp_path: Path) -> None:
    fields = recipe_for(slide, start_model(tmp_path)).model_dump() | {"start": None, "steps": 3}
    trainer = Trainer(Recipe.model_validate(fields), Path(), tmp_path / "run")
    (preview,) = (event for event in trainer.run() if isinstance(event, Preview))
    before = enlarged(trainer._validator.shown, 2, of_reference=False)
    assert np.array_equal(preview.before, before)


@pytest.mark.parametrize("stop_at", [0, 3])
def test_resumed_run_equals_an_unbroken_one(slide: Path, tmp_path: Path, stop_at: int) -> None:
    recipe = recipe_for(slide, start_model(tmp_path, 4, share=0.5))
    unbroken = Trainer(recipe, Path(), tmp_path / "unbroken")
    list(unbroken.run())
    broken = Trainer(recipe, Path(), tmp_path / "broken")
    for event in broken.run():
        if isinstance(event, CheckpointWritten) and event.step == stop_at:
            break
    resumed = Trainer(recipe, Path(), tmp_path / "broken")
    assert_same_state(resumed.state, broken.state)
    rest = list(resumed.run())
    assert next(e.step for e in rest if isinstance(e, StepDone)) == stop_at + 1
    assert_same_state(resumed.state, unbroken.state)
    assert resumed.state.start_psnr == unbroken.state.start_psnr
    assert resumed.state.best_psnr == unbroken.state.best_psnr
    assert resumed.state.best_by_mode == unbroken.state.best_by_mode
    first, second = (load_model(t.weights).network.state_dict() for t in (unbroken, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_not_asking_for_the_next_event_is_a_pause(slide: Path, tmp_path: Path) -> None:
    trainer = Trainer(recipe_for(slide, start_model(tmp_path)), Path(), tmp_path / "run")
    run = trainer.run()
    began = time.perf_counter()
    for event in itertools.islice(run, 8):
        step, worked = trainer.state.step, trainer.state.seconds
        time.sleep(0.1)
        assert (trainer.state.step, trainer.state.seconds) == (step, worked), event
    assert trainer.state.seconds < time.perf_counter() - began - 0.75
    (*_, done) = run
    assert isinstance(done, Done)
    assert done.step == 6


def test_time_budget_ends_the_run_and_the_schedule(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget, tick, ticks = 3.0, 0.1, itertools.count()
    # what a step takes, or measuring a field, however busy the machine is
    monkeypatch.setattr(time, "perf_counter", lambda: tick * next(ticks))
    recipe = recipe_for(
        slide, start_model(tmp_path), minutes=budget / 60, steps=10**6, validate_every=10**6
    )
    trainer = Trainer(recipe, Path(), tmp_path / "run")
    events = list(trainer.run())
    steps = [event for event in events if isinstance(event, StepDone)]
    assert isinstance(events[-1], Done)
    assert 0 < len(steps) == events[-1].step < 10**6
    assert [e.step for e in events if isinstance(e, Validation)] == [0, len(steps)]
    assert trainer.state.seconds == pytest.approx(budget, abs=1.1 * tick)  # by a step at most
    resumed = Trainer(recipe, Path(), tmp_path / "run")
    assert list(resumed.run()) == [events[-1]]
    for before, event in itertools.pairwise(steps):
        if event.step > 2:  # warm-up
            share = 0.5 * (1 + math.cos(math.pi * min(1, before.seconds / budget)))
            assert event.learning_rate == pytest.approx(1e-2 * (0.01 + 0.99 * share))


def test_stop_takes_effect_within_a_step_and_keeps_the_best(slide: Path, tmp_path: Path) -> None:
    trainer = Trainer(
        recipe_for(slide, start_model(tmp_path), steps=1000), Path(), tmp_path / "run"
    )
    cancel, events = CancelToken(), []
    for event in trainer.run(cancel):
        events.append(event)
        if isinstance(event, StepDone) and event.step == 4:
            cancel.cancel()
    done = events[-1]
    assert isinstance(done, Done)
    assert (done.step, done.stopped) == (4, True)
    assert load_model(done.weights).config == trainer.start.config
    assert math.isfinite(done.best_psnr)
    with (tmp_path / "run" / "log.csv").open(newline="") as handle:
        assert [row["step"] for row in csv.DictReader(handle)] == ["0", "3", "4"]


def test_slide_is_not_needed_once_training_has_begun(slide: Path, tmp_path: Path) -> None:
    trainer = Trainer(recipe_for(slide, start_model(tmp_path)), Path(), tmp_path / "run")
    run = trainer.run()
    next(run)
    slide.unlink()
    (*_, done) = run
    assert isinstance(done, Done)
    assert done.step == 6


def test_another_start_model_under_the_same_name_is_refused(slide: Path, tmp_path: Path) -> None:
    recipe = recipe_for(slide, start_model(tmp_path))
    save_weights(tmp_path / "start.safetensors", CwtNet(recipe.network_config()), {})
    with pytest.raises(
        TrainingError, match=r"^Model 'start' has sha256 .*, the recipe wants .*; g"
    ):
        Trainer(recipe, Path(), tmp_path / "run")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"scale": 4}, "Fine-tuning: scale: set by the start model; leave it out"),
        ({"minutes": 0}, "Fine-tuning: minutes: 0 is given; give a number above 0"),
        ({"colour": 1}, "Fine-tuning: colour: unknown field"),
        ({"device": 3}, "Fine-tuning: device: 3 is given; give text"),
    ],
)
def test_wrong_field_is_named(
    slide: Path, tmp_path: Path, fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(TrainingError) as caught:
        recipe_for(slide, start_model(tmp_path), **fields)
    assert str(caught.value).startswith(named)


def test_budget_is_ten_minutes_unless_said(slide: Path, tmp_path: Path) -> None:
    source, model = slide_source(slide), start_model(tmp_path)
    assert finetune_recipe(model, [source]).minutes == 10
    assert finetune_recipe(model, [source], {"minutes": 2.5}).minutes == 2.5
    by_steps = finetune_recipe(model, [source], {"steps": 7})
    assert (by_steps.minutes, by_steps.steps) == (None, 7)


def test_installed_model_is_replaced_by_a_later_state_of_its_run_only(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CWTNET_MODELS", str(tmp_path / "models"))
    recipe = recipe_for(slide, start_model(tmp_path), name="mine", learning_rate=1e-3, steps=30)
    trainer, cancel, installed = Trainer(recipe, Path(), tmp_path / "run"), CancelToken(), []
    for event in trainer.run(cancel):
        if isinstance(event, Validation) and event.best and len(installed) < 2:
            installed.append(install(trainer.weights, "mine").read_bytes())
    first, second = installed
    assert first != second
    assert list_models()["mine"].read_bytes() == second
    network, provenance, _ = read_weights(list_models()["mine"])
    for field in ("architecture", "adversarial"):  # as written before there was such a field
        del provenance["recipe"][field]
    save_weights(list_models()["mine"], network, provenance)
    assert install(trainer.weights, "mine").read_bytes() == trainer.weights.read_bytes()
    second = trainer.weights.read_bytes()
    other = Trainer(recipe_for(slide, trainer.start, name="mine"), Path(), tmp_path / "other")
    list(other.run())
    with pytest.raises(OutputError, match="Model 'mine' exists"):
        install(other.weights, "mine")
    assert list_models()["mine"].read_bytes() == second


def test_header_is_enough_for_a_plan(slide: Path, tmp_path: Path) -> None:
    model = start_model(tmp_path, 4, share=0.5)
    planned = finetune_recipe(read_header(model.path), [slide_source(slide)], FAST)
    real = finetune_recipe(model, [slide_source(slide)], FAST)
    assert planned.start is not None
    assert planned.start.sha256 is None
    assert planned.model_copy(update={"start": real.start}) == real
