"""Each building block against its formula, written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_cwtnet.model.blocks import (
    CrossScaleBlock,
    ResidualBlock,
    Upsampler,
    WaveletReconstruction,
    WaveletResidualBlock,
    bicubic,
)
from napari_cwtnet.model.config import NetworkConfig


def conv(layer: nn.Conv2d, image: Tensor, padding: int = 1) -> Tensor:
    return F.conv2d(image, layer.weight, layer.bias, padding=padding)


def small(**changes: object) -> NetworkConfig:
    settings = {"blocks": 1, "channels": 8, "sr_residual_blocks": 1, "wt_residual_blocks": 1}
    return NetworkConfig.model_validate(settings | changes)


@torch.no_grad()
def test_residual_block_is_its_formula() -> None:
    block, x = ResidualBlock(4), torch.randn(1, 4, 5, 6)
    wanted = x + conv(block.second, conv(block.first, x).clamp_min(0))
    torch.testing.assert_close(block(x), wanted)


@torch.no_grad()
def test_wavelet_residual_block_is_its_formula() -> None:
    block, x = WaveletResidualBlock(16, reduction=8), torch.randn(2, 16, 5, 6)
    assert block.down.weight.shape == (2, 16, 1, 1)
    correction = conv(block.second, conv(block.first, x).clamp_min(0))
    pooled = correction.sum((2, 3), keepdim=True) / 30
    squeezed = conv(block.down, pooled, 0).clamp_min(0)
    weights = 1 / (1 + torch.exp(-conv(block.up, squeezed, 0)))
    torch.testing.assert_close(block(x), x + correction * weights)


@torch.no_grad()
def test_wavelet_reconstruction_adds_detail_to_the_bicubic_enlargement() -> None:
    wr, lr = WaveletReconstruction(small(wr_blocks=1)), torch.rand(1, 3, 6, 5)
    head = conv(wr.head, lr)
    body = head + wr.body[0](head)
    detail = conv(wr.tail, F.pixel_shuffle(conv(wr.up, body), 2))
    torch.testing.assert_close(wr(lr), bicubic(lr, 2) + detail)


@torch.no_grad()
@pytest.mark.parametrize("double", [False, True])
def test_cross_scale_block_is_eq_9(double: bool) -> None:
    block = CrossScaleBlock(small(double_residual=double))
    f_sr, f_hwt = torch.randn(1, 8, 6, 7), torch.randn(1, 8, 6, 7)
    query, key = block.sr[0](f_sr), block.wt[0](f_hwt)
    q, k = (F.unfold(x, 3, padding=1)[0] for x in (query, key))
    relevance, index = (F.normalize(q, dim=0).T @ F.normalize(k, dim=0)).max(1)
    texture = F.fold(k[:, index][None], (6, 7), 3, padding=1) / 9
    attended = conv(block.fuse, torch.cat((query, texture), 1)) * relevance.view(1, 1, 6, 7)
    fused, kept, record = block(f_sr, f_hwt, record=True)
    torch.testing.assert_close(fused, query * (2 if double else 1) + attended)
    torch.testing.assert_close(kept, key)
    assert torch.equal(record.index.flatten(), index)
    torch.testing.assert_close(record.relevance.flatten(), relevance)
    assert torch.equal(record.query, query)
    assert torch.equal(record.key, key)


@torch.no_grad()
@pytest.mark.parametrize(("value", "first", "second"), [("up_down", 2, 0.5), ("down_up", 0.5, 2)])
def test_value_is_resampled_and_back(value: str, first: float, second: float) -> None:
    config = small(value=value, search="aligned", patch_normalisation="count")
    block = CrossScaleBlock(config)
    f_sr, f_hwt = torch.randn(1, 8, 6, 8), torch.randn(1, 8, 6, 8)
    query, key = block.sr(f_sr), block.wt(f_hwt)
    texture = bicubic(bicubic(key, first), second)
    assert (texture - key).abs().max() > 0.01
    fused, _, record = block(f_sr, f_hwt, record=True)
    attended = conv(block.fuse, torch.cat((query, texture), 1)) * record.relevance
    torch.testing.assert_close(fused, query + attended)


@pytest.mark.parametrize(("scale", "shuffles"), [(2, 1), (4, 2), (8, 3)])
def test_upsampler_takes_one_shuffle_an_octave(scale: int, shuffles: int) -> None:
    tail = Upsampler(8, scale)
    assert sum(isinstance(step, nn.PixelShuffle) for step in tail) == shuffles
    assert tail(torch.zeros(1, 8, 3, 5)).shape == (1, 3, 3 * scale, 5 * scale)
