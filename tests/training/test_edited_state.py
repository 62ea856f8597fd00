"""A run's folder that was edited, cut short or lost in part: one line, and how to start again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_cwtnet.errors import OutputError, TrainingError
from napari_cwtnet.training.events import Measuring, Validation
from napari_cwtnet.training.recipe import load_recipe
from napari_cwtnet.training.run_folder import RunLock, RunLog, read_run
from napari_cwtnet.training.state import RunState
from napari_cwtnet.training.trainer import Trainer
from training.conftest import tiny_recipe

PROGRESS: dict[str, Any] = {
    "step": -1,
    "seconds": float("inf"),
    "measured": "never",
    "best_psnr": float("nan"),
    "best_by_mode": [1.0],
    "generator": {"state": -5},
    "adam_steps": {"a": "b"},
}


@pytest.fixture
def output(data_root: Path, tmp_path: Path) -> Path:
    list(Trainer(tiny_recipe(steps=3), data_root, tmp_path / "run").run())
    return tmp_path / "run"


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
    with safe_open(path, framework="pt") as archive:
        metadata = dict(archive.metadata())
    tensors, progress = load_file(path), json.loads(metadata["progress"])
    change(progress, tensors)
    save_file(tensors, path, metadata | {"progress": json.dumps(progress)})


def test_an_edited_checkpoint_is_refused_in_one_line(output: Path) -> None:
    recipe, last = load_recipe(output / "recipe.yaml"), output / "last.safetensors"
    whole = last.read_bytes()
    for name, value in PROGRESS.items():
        rewrite(last, lambda progress, _, name=name, value=value: progress.update({name: value}))
        with pytest.raises(TrainingError, match=r"^Checkpoint .* cannot be read: .*delete it to"):
            RunState.load(last, recipe)
        if name != "generator":  # which is looked at with the tensors
            with pytest.raises(TrainingError, match=rf"cannot be read: {name}.*; choose another"):
                read_run(output)
        last.write_bytes(whole)
    first = next(name for name in load_file(last) if name.startswith("average/"))
    rewrite(last, lambda _, tensors: tensors.update({first: tensors[first].flatten()[:1].clone()}))
    with pytest.raises(TrainingError, match=rf"{first} is \(1,\); delete it to start again"):
        RunState.load(last, recipe)
    last.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrainingError, match="delete it to start again"):
        RunState.load(last, recipe)
    last.unlink()
    assert read_run(output).share == 0


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"[" * 5000, b"- a", b"steps: .nan", b"name: x\nsteps: 1e400", b""]
)
def test_an_edited_recipe_is_refused_in_one_line(output: Path, content: bytes) -> None:
    (output / "recipe.yaml").write_bytes(content)
    with pytest.raises(TrainingError, match=r"^Recipe [^\n]*$"):
        load_recipe(output / "recipe.yaml")


def test_lines_of_an_edited_log_are_left_out(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.csv")
    log.add(Validation(0, 30.5, 29.1, None, None, True), 1.5, None)
    with log.path.open("ab") as handle:
        handle.write(b"\xc2\xb2,1,1,1,,,\n" + b"9" * 5000 + b",1,1,1,,,\n1,nan,1,1,,,\n")
        handle.write(b'"' + b"x" * 200_000 + b"\n\0\n2,1.5,31,29,,,0.5\n3,1")
    assert [row["step"] for row in log.rows()] == [0, 2]
    log.drop_after(1)
    assert log.path.read_bytes().count(b"\n") == 2


def test_a_run_killed_between_log_and_state_logs_its_step_once(
    data_root: Path, tmp_path: Path
) -> None:
    recipe, output = tiny_recipe(steps=3), tmp_path / "run"
    trainer = Trainer(recipe, data_root, output)
    for event in trainer.run():
        if isinstance(event, Measuring):
            trainer.save()  # the step is there, its measurement is not
            break
    del trainer
    RunLog(output / "log.csv").add(Validation(3, 30.5, 29.1, None, None, True), 1.5, None)
    list(Trainer(recipe, data_root, output).run())
    assert [row["step"] for row in RunLog(output / "log.csv").rows()] == [3]


def test_links_in_a_run_s_folder_are_not_written_through(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("years of work")
    for name in (".lock", "log.csv"):
        (tmp_path / name).symlink_to(precious)
    with pytest.raises(OutputError, match=r"\.lock is a link; remove it; choose another output"):
        RunLock(tmp_path).acquire()
    with pytest.raises(OutputError, match=r"^Cannot write .*log\.csv: "):
        RunLog(tmp_path / "log.csv").add(Validation(0, 1, 1, None, None, True), 0, None)
    assert precious.read_text() == "years of work"
