"""Training on a CUDA device: it learns, goes on, and two processes train what one would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from napari_cwtnet.training.events import StepDone
from napari_cwtnet.training.state import RunState
from napari_cwtnet.training.trainer import Trainer
from training.conftest import tiny_recipe

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is there")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_steps_lower_the_loss(data_root: Path, tmp_path: Path, dtype: str) -> None:
    recipe = tiny_recipe(
        steps=80, validate_every=80, batch=4, learning_rate=1e-2, device="cuda", dtype=dtype,
        network={"blocks": 1, "channels": 16, "conditioning": 8, "tile": 32}, degradation={},
    )  # fmt: skip
    trainer = Trainer(recipe, data_root, tmp_path / "run")
    losses = [event.loss for event in trainer.run() if isinstance(event, StepDone)]
    assert next(trainer.state.network.parameters()).is_cuda
    assert sum(losses[-20:]) < 0.9 * sum(losses[:20])


def test_the_first_losses_are_the_processors(data_root: Path, tmp_path: Path) -> None:
    runs = [
        [
            event.loss
            for event in Trainer(
                tiny_recipe(scale=4, reference_share=0.5, device=device),
                data_root,
                tmp_path / device,
            ).run()
            if isinstance(event, StepDone)
        ]
        for device in ("cpu", "cuda")
    ]
    assert runs[0] == pytest.approx(runs[1], rel=1e-2)


def test_a_run_is_taken_up(data_root: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(steps=6, validate_every=3, device="cuda")
    run = Trainer(recipe, data_root, tmp_path / "run").run()
    for event in run:
        if isinstance(event, StepDone) and event.step == 4:
            break
    run.close()
    resumed = Trainer(recipe, data_root, tmp_path / "run")
    assert resumed.state.step == 3
    assert next(resumed.state.network.parameters()).is_cuda
    list(resumed.run())
    assert resumed.state.step == 6


@pytest.mark.skipif(not dist.is_available(), reason="torch was built without distributed")
def test_two_processes_train_the_same_network(data_root: Path, tmp_path: Path) -> None:
    """On as many devices as there are: where there is one, both share it."""
    recipe = tiny_recipe(scale=4, reference_share=0.5, batch=4, steps=6, device="cuda")
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "napari_cwtnet.cli", "train", str(path), "--data", str(data_root),
        "--output", str(tmp_path / "two"), "--json",
    ]  # fmt: skip
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    list(Trainer(recipe, data_root, tmp_path / "one").run())
    first, second = (load_file(tmp_path / n / "last.safetensors") for n in ("one", "two"))
    moved = 0.0
    for name, untrained in RunState(recipe).network.named_parameters():
        one_s, two_s = first[f"network/{name}"], second[f"network/{name}"]
        torch.testing.assert_close(one_s, two_s, atol=4e-4, rtol=0)
        moved = max(moved, float((one_s - untrained.detach()).abs().max()))
    assert moved > 4e-3  # or the limit would say nothing
