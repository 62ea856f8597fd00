"""kill -9 at any moment, while files are being written above all: the run goes on from there."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from napari_cwtnet.model import load_model
from napari_cwtnet.training.events import StepDone
from napari_cwtnet.training.finetune import finetune_recipe, slide_source
from napari_cwtnet.training.recipe import load_recipe
from napari_cwtnet.training.trainer import Trainer
from training.test_finetune import FAST, slide, start_model
from training.test_trainer import assert_same_state

__all__ = ["slide"]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")

# Imports torch once, and trains in a child of its own for each line that it reads.
NURSERY = """
    import os, sys
    from pathlib import Path
    from napari_cwtnet.training.recipe import load_recipe
    from napari_cwtnet.training.trainer import Trainer
    recipe, output = load_recipe(Path(sys.argv[1])), Path(sys.argv[2])
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            for event in Trainer(recipe, Path(), output).run():
                pass
            os._exit(0)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)
"""
KILLS = 5


def test_killed_while_it_writes(slide: Path, tmp_path: Path) -> None:
    fields = FAST | {"steps": 100_000, "validate_every": 1, "learning_rate": 1e-3}
    model = start_model(tmp_path)
    recipe = finetune_recipe(model, [slide_source(slide, validation_fields=1)], fields)
    path, output = tmp_path / "recipe.yaml", tmp_path / "run"
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    words = [sys.executable, "-c", textwrap.dedent(NURSERY), str(path), str(output)]
    chance, reached, writing = random.Random(4), 0, 0
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as nursery:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        assert nursery.stdout.readline() == "ready\n"
        for kill in range(KILLS):
            nursery.stdin.write("go\n")
            nursery.stdin.flush()
            child = int(nursery.stdout.readline())
            wait_for_rows(output, reached + 3)  # a row comes before the state of its step
            time.sleep(chance.uniform(0, 0.1))
            if kill % 2:  # in the middle of a checkpoint, as far as that can be aimed at
                wait_for_partial(output)
            os.kill(child, signal.SIGKILL)
            assert nursery.stdout.readline() == f"{signal.SIGKILL}\n"
            writing += any(output.glob(".*.partial"))
            resumed = Trainer(load_recipe(output / "recipe.yaml"), Path(), output)
            assert resumed.state.step > reached
            reached = resumed.state.step
            assert steps_of(output) == list(range(reached + 1))
            assert not any(output.glob(".*.partial"))
            assert load_model(resumed.weights).config == model.config
            del resumed
        nursery.stdin.close()
    print(f"{writing} of {KILLS} kills came while a file was being written; step {reached}")
    resumed = Trainer(recipe, Path(), output)
    unbroken = Trainer(recipe, Path(), tmp_path / "unbroken")
    for event in unbroken.run():
        if isinstance(event, StepDone) and event.step == reached:
            break
    assert_same_state(resumed.state, unbroken.state)


def steps_of(output: Path) -> list[int]:
    with (output / "log.csv").open(newline="") as handle:
        return [int(row["step"]) for row in csv.DictReader(handle)]


def wait_for_rows(output: Path, count: int) -> None:
    end = time.monotonic() + 200
    log = output / "log.csv"
    while not log.exists() or log.read_bytes().count(b"\n") < 1 + count:
        assert time.monotonic() < end
        time.sleep(0.002)


def wait_for_partial(output: Path) -> None:
    end = time.monotonic() + 10
    while not any(output.glob(".last.*.partial")) and time.monotonic() < end:
        time.sleep(0.0005)
