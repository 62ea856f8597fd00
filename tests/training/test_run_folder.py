"""What a run's folder says before it is taken up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import TrainingError
from napari_cwtnet.training.events import Measuring
from napari_cwtnet.training.run_folder import holds_a_run, read_run, unfinished_runs
from napari_cwtnet.training.trainer import Trainer
from training.test_finetune import recipe_for, slide, start_model

__all__ = ["slide"]


def test_runs_that_have_something_left_to_do(slide: Path, tmp_path: Path) -> None:
    model, runs = start_model(tmp_path), tmp_path / "runs"
    assert unfinished_runs(runs) == []
    recipe = recipe_for(slide, model)
    list(Trainer(recipe, Path(), runs / "done").run())
    cancel = CancelToken()
    for event in Trainer(recipe, Path(), runs / "stopped").run(cancel):
        if event.step == 3:
            cancel.cancel()
    unmeasured = Trainer(recipe, Path(), runs / "unmeasured")
    for event in unmeasured.run():
        if isinstance(event, Measuring) and event.step == 6:
            unmeasured.save()
            break
    Trainer(recipe, Path(), runs / "begun")
    minutes = recipe_for(slide, model, minutes=1e-4, steps=100)
    list(Trainer(minutes, Path(), runs / "time is up").run())
    (runs / "no run").mkdir()
    (runs / "damaged").mkdir()
    (runs / "damaged" / "recipe.yaml").write_text("- a")
    for age, name in enumerate(("unmeasured", "begun", "stopped")):
        for path in (runs / name).iterdir():
            os.utime(path, (1e9 - age, 1e9 - age))
    found = unfinished_runs(runs)
    assert [(run.path.name, run.step, run.share) for run in found] == [
        ("unmeasured", 6, 0.99), ("begun", 0, 0.0), ("stopped", 3, 0.5),
    ]  # fmt: skip
    assert found[0].recipe == recipe
    assert unfinished_runs(runs, most=1) == found[:1]
    assert read_run(runs / "done").share == 1
    assert read_run(runs / "time is up").share == 1
    assert holds_a_run(runs / "begun")
    assert not holds_a_run(runs / "no run")
    with pytest.raises(TrainingError, match=r"no run holds no run \(recipe.yaml is missing\)"):
        read_run(runs / "no run")
    (runs / "done" / "last.safetensors").write_bytes(b"garbage")
    with pytest.raises(TrainingError, match=r"^Checkpoint .*last.safetensors cannot be read: "):
        read_run(runs / "done")
