"""The head that predicts the error learns beside a network that stays as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.model import CwtNet, Model, load_model, preset, save_weights
from napari_cwtnet.training.error_head import (
    HeadTrainer,
    error_size,
    head_loss,
    with_error_head,
)
from training.conftest import tiny_recipe


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """An untrained network, exactly bicubic, with the recipe of the small images."""
    recipe = tiny_recipe(patch=64, preset="lite-2", network={"blocks": 1, "channels": 8})
    path = tmp_path / "plain.safetensors"
    save_weights(path, recipe.new_network(), {"recipe": recipe.model_dump(mode="json")})
    return load_model(path)


@pytest.fixture
def larger_data(data_root: Path) -> Path:
    """The small images, four times as large: flat, but for their right half."""
    from PIL import Image

    for path in (data_root / "blocks").glob("*.png"):
        fine = np.asarray(Image.open(path))
        image = np.full((256, 256, 3), 220, np.uint8)
        image[:, 128:] = np.tile(fine, (4, 2, 1))
        Image.fromarray(image).save(path)
    return data_root


def test_the_head_learns_where_the_error_is(model: Model, larger_data: Path) -> None:
    trainer = HeadTrainer(model, larger_data, steps=60)
    losses = [step.loss for step in trainer.run()]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.5
    before, after = model.network.state_dict(), trainer.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(parameter.requires_grad for parameter in trainer.network.parameters())


def test_a_head_is_replaced_and_its_prediction_starts_at_two_grey_levels() -> None:
    network = CwtNet(preset("lite-2", 2, blocks=1, channels=8, error_channels=4))
    again = with_error_head(network, 6)
    assert again.config.error_channels == 6
    error = again(torch.rand(1, 3, 8, 8), error=True).error
    assert error is not None
    torch.testing.assert_close(error * 255, torch.full_like(error, 2.0))


def test_the_loss_is_least_where_the_prediction_is_the_mean() -> None:
    size = torch.rand(1, 1, 40, 40, generator=torch.Generator().manual_seed(0)) ** 2
    losses = {
        factor: float(head_loss(torch.full_like(size, float(size.mean()) * factor), size))
        for factor in (0.7, 1.0, 1.4)
    }
    assert min(losses, key=lambda factor: losses[factor]) == 1.0


def test_sizes_are_means_over_an_lr_pixel() -> None:
    sr, truth = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    sr[0, :, 0, 0] = 2.0  # clipped to 1
    found = error_size(sr, truth, 2)
    assert found.shape == (1, 1, 2, 2)
    assert found[0, 0, 0, 0] == pytest.approx(0.25)
    assert found.sum() == pytest.approx(0.25)


def test_a_model_without_a_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    save_weights(path, CwtNet(preset("lite-2", 2, blocks=1, channels=8)), {})
    with pytest.raises(TrainingError, match="no CWT-Net with a recipe"):
        HeadTrainer(load_model(path), tmp_path, 1)
