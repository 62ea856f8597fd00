"""Networks that are not trained: what torch cannot do, and what has nothing to learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.training.trainer import Trainer
from napari_cwtnet.training.workers import refuse_wrong_gradients
from training.conftest import tiny_recipe


@pytest.mark.parametrize(
    ("name", "network", "channels"),
    [
        ("swdnet", {}, "fusions.0.far.0 has 26"),
        ("mwcnn", {}, "down.2.1.0 has 40"),
        ("swdnet", {"channels": 32}, None),
        ("mwcnn", {"widths": [16, 32, 48, 64]}, None),
        ("edsr", {}, None),  # 40 channels, but nothing is dilated
    ],
)
def test_dilated_convolutions_of_which_torch_has_no_gradients_are_not_trained_in_bfloat16(
    name: str, network: dict[str, Any], channels: str | None, data_root: Path, tmp_path: Path
) -> None:
    fields = {"architecture": name, "preset": "matched", "network": network}
    recipe = tiny_recipe(**fields, dtype="bfloat16")
    if channels is None:
        refuse_wrong_gradients(recipe, torch.device("cpu"))
        return
    refuse_wrong_gradients(recipe, torch.device("cuda"))
    refuse_wrong_gradients(tiny_recipe(**fields), torch.device("cpu"))
    with pytest.raises(TrainingError) as caught:
        Trainer(recipe, data_root, tmp_path / "run")
    message = str(caught.value)
    assert message.startswith(f"This {name} cannot be trained in bfloat16 on a CPU: torch compu")
    assert f"and {channels}; set dtype to float32 in the recipe" in message
    assert not (tmp_path / "run").exists()


def test_what_has_nothing_to_learn_is_not_trained(data_root: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(architecture="bicubic", preset="published", network={})
    with pytest.raises(TrainingError, match="architecture: bicubic has nothing to learn; choose"):
        Trainer(recipe, data_root, tmp_path / "run")


def test_a_head_that_would_stay_untrained_is_refused(data_root: Path, tmp_path: Path) -> None:
    network = {"blocks": 1, "channels": 8, "error_channels": 4}
    recipe = tiny_recipe(preset="lite-2", network=network)
    with pytest.raises(TrainingError, match=r"error_channels: .* leave it out of the recipe"):
        Trainer(recipe, data_root, tmp_path / "run")
    assert not (tmp_path / "run").exists()
