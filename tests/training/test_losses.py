"""The loss is Eqs. 10 to 14, term by term."""

from __future__ import annotations

import pytest
import torch

from napari_cwtnet.metrics import ssim_map
from napari_cwtnet.model import CwtNet, NetworkConfig
from napari_cwtnet.training.fields import Batch
from napari_cwtnet.training.losses import distance, total_loss
from napari_cwtnet.training.recipe import Loss
from training.conftest import TINY


def test_distance_is_its_formula() -> None:
    a, b = torch.rand(1, 3, 12, 12), torch.rand(1, 3, 12, 12)
    one, two = (a - b).abs().mean(), (a - b).square().mean()
    apart = 1 - ssim_map(a, b).mean()
    torch.testing.assert_close(distance(a, b, 0, "l1"), one)
    torch.testing.assert_close(distance(a, b, 0, "mse"), two)
    torch.testing.assert_close(distance(a, b, 0.2, "l1"), one + 0.2 * apart)
    assert distance(a, a, 0.2, "l1").item() == pytest.approx(0, abs=1e-6)


def test_defaults_are_the_paper_s_weights() -> None:
    """Terms that are not the paper's are off."""
    papers = {"sr": 0.3, "wt": 0.7, "sr_ssim": 0.2, "wt_ssim": 0.2, "pixel": "l1"}
    assert {name: value for name, value in Loss().model_dump().items() if value} == papers


@pytest.mark.parametrize("front", ["dwt", "average"])
def test_total_is_eq_10(front: str) -> None:
    network = CwtNet(NetworkConfig.model_validate(TINY | {"halo": 8, "wt_front": front}))
    batch = Batch(torch.rand(2, 3, 12, 12), torch.rand(2, 3, 24, 24), torch.rand(2, 3, 24, 24))
    output = network(batch.lr)
    a, b, c, d = batch.reference.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4).unbind(-1)
    target = (a - b - c + d) / 2 if front == "dwt" else (a + b + c + d) / 4
    wanted = 0.3 * distance(output.sr, batch.truth, 0.2, "l1")
    wanted = wanted + 0.7 * distance(output.wt, target, 0.2, "l1")
    torch.testing.assert_close(total_loss(network, output, batch, Loss()), wanted)


def test_haar_term_is_l1_of_the_detail_bands() -> None:
    network = CwtNet(NetworkConfig.model_validate(TINY | {"halo": 8, "wt_branch": False}))
    batch = Batch(torch.rand(1, 3, 12, 12), torch.rand(1, 3, 24, 24), torch.rand(1, 3, 24, 24))
    output = network(batch.lr)
    a, b, c, d = (output.sr - batch.truth).unfold(2, 2, 2).unfold(3, 2, 2).flatten(4).unbind(-1)
    bands = torch.stack([a + b - c - d, a - b + c - d, a - b - c + d]) / 2
    plain, haar = (total_loss(network, output, batch, Loss(sr_haar=w)) for w in (0.0, 0.5))
    torch.testing.assert_close(haar - plain, 0.3 * 0.5 * bands.abs().mean())


def test_no_wt_term_without_a_wt_branch_or_weight() -> None:
    batch = Batch(torch.rand(1, 3, 12, 12), torch.rand(1, 3, 24, 24), torch.rand(1, 3, 24, 24))
    for branch, weight in ((False, 0.7), (True, 0.0)):
        network = CwtNet(NetworkConfig.model_validate(TINY | {"halo": 8, "wt_branch": branch}))
        output = network(batch.lr)
        wanted = 0.3 * distance(output.sr, batch.truth, 0.2, "l1")
        loss = total_loss(network, output, batch, Loss(wt=weight))
        torch.testing.assert_close(loss, wanted)
