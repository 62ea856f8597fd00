"""Two processes train the network that one would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.training.state import RunState
from napari_cwtnet.training.trainer import Trainer
from napari_cwtnet.training.workers import Workers, worker_device
from training.conftest import tiny_recipe


def test_alone_without_torchrun() -> None:
    workers = Workers(torch.device("cpu"))
    assert (workers.count, workers.leads) == (1, True)
    assert workers.as_leader_says(3.5) == 3.5
    assert workers.mean(torch.tensor(2.0)) == 2
    assert worker_device("auto") == "auto"


def test_batch_that_cannot_be_divided_is_refused() -> None:
    workers = Workers(torch.device("cpu"))
    workers.count = 2
    workers.check_batch(4)
    with pytest.raises(TrainingError, match="A batch of 3 cannot be divided among 2 processes; ch"):
        workers.check_batch(3)


@pytest.mark.skipif(not dist.is_available(), reason="torch was built without distributed")
def test_two_processes_train_the_same_network(data_root: Path, tmp_path: Path) -> None:
    """Mixed batches, whose parameters without a gradient must be the same in both."""
    recipe = tiny_recipe(scale=4, reference_share=0.5, batch=4, steps=6)
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "napari_cwtnet.cli", "train", str(path), "--data", str(data_root),
        "--output", str(tmp_path / "two"), "--json",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"steps": 6') == 1
    assert done.stderr.count("step 6: PSNR") == 1
    one = Trainer(recipe, data_root, tmp_path / "one")
    list(one.run())
    first, second = (load_file(tmp_path / n / "last.safetensors") for n in ("one", "two"))
    assert first.keys() == second.keys()
    moved = 0.0
    for name, untrained in RunState(recipe).network.named_parameters():
        one_s, two_s = first[f"network/{name}"], second[f"network/{name}"]
        torch.testing.assert_close(one_s, two_s, atol=2e-4, rtol=0)
        moved = max(moved, float((one_s - untrained.detach()).abs().max()))
    assert moved > 4e-3  # or the limit would say nothing
    resumed = Trainer(recipe, data_root, tmp_path / "two")
    assert resumed.state.step == 6
