"""Two runs never work in one folder, and a run that was killed is in nobody's way."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from napari_cwtnet.errors import OutputError, TrainingError
from napari_cwtnet.training.events import StepDone
from napari_cwtnet.training.run_folder import RunLock, is_at_work
from napari_cwtnet.training.trainer import Trainer
from training.conftest import tiny_recipe

HOLD = """
import sys
from pathlib import Path
from napari_cwtnet.training.run_folder import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_lock_on_the_folder_is_refused(tmp_path: Path) -> None:
    first, second = RunLock(tmp_path / "run"), RunLock(tmp_path / "run")
    first.acquire()
    first.acquire()
    with pytest.raises(TrainingError, match=r"^Another run is using .*run; wait for it, stop"):
        second.acquire()
    assert (first.held, second.held) == (True, False)
    assert is_at_work(tmp_path / "run")
    first.release()
    assert not is_at_work(tmp_path / "run")
    second.acquire()
    assert second.held


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_another_process_holds_the_lock_until_it_is_killed(tmp_path: Path) -> None:
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(TrainingError, match="Another run is using"):
            RunLock(tmp_path).acquire()
        child.kill()
    assert (tmp_path / ".lock").exists()
    RunLock(tmp_path).acquire()


def test_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(OutputError, match=r"^Cannot write to .*run: File exists; choose another"):
        RunLock(tmp_path / "run").acquire()
    (tmp_path / "run").unlink()
    (tmp_path / "run" / ".lock").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"^Cannot write to .*run: Is a directory"):
        RunLock(tmp_path / "run").acquire()


def test_trainer_holds_the_folder_until_its_run_has_ended(data_root: Path, tmp_path: Path) -> None:
    recipe, output = tiny_recipe(steps=3), tmp_path / "run"
    trainer = Trainer(recipe, data_root, output)
    with pytest.raises(TrainingError, match="Another run is using"):
        Trainer(recipe, data_root, output)
    run = trainer.run()
    assert isinstance(next(run), StepDone)
    recipe_file = (output / "recipe.yaml").read_bytes()
    with pytest.raises(TrainingError, match="Another run is using"):
        Trainer(tiny_recipe(steps=4), data_root, output)
    assert (output / "recipe.yaml").read_bytes() == recipe_file
    list(run)
    assert not is_at_work(output)


def test_what_would_be_refused_at_the_end_is_refused_before_slides_are_read(
    data_root: Path, tmp_path: Path
) -> None:
    nothing = tiny_recipe(sources=[tiny_recipe().sources[0].model_dump() | {"folder": "gone"}])
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"^Cannot write to .*file/a/run: Not a directory"):
        Trainer(nothing, data_root, tmp_path / "file" / "a" / "run")
    lock = RunLock(tmp_path / "run")
    lock.acquire()
    with pytest.raises(TrainingError, match="Another run is using"):
        Trainer(nothing, data_root, tmp_path / "run")
    lock.release()
    with pytest.raises(TrainingError, match="gone"):
        Trainer(nothing, data_root, tmp_path / "other" / "run")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("how", ["never run", "given up", "refused"])
def test_trainer_that_is_gone_lets_go_of_the_folder(
    data_root: Path, tmp_path: Path, how: str
) -> None:
    output = tmp_path / "run"
    trainer = Trainer(tiny_recipe(steps=3), data_root, output)
    if how == "given up":
        next(trainer.run())
    elif how == "refused":
        list(trainer.run())
        with pytest.raises(TrainingError, match="made by another recipe"):
            Trainer(tiny_recipe(steps=4), data_root, output)
    del trainer
    assert not is_at_work(output)
