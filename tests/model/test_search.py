"""Searches, attention map and transfer against plain N×N formulas."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from napari_cwtnet.model import best_match
from napari_cwtnet.model.attention import attention, relevance_at, search, transfer
from napari_cwtnet.model.best_match import best_matches, identity_index, patch_norms
from napari_cwtnet.model.config import NetworkConfig

SHAPES = [(1, 4, 6, 6), (2, 3, 5, 9), (1, 2, 8, 3), (1, 3, 1, 4)]


def search_full(query: Tensor, key: Tensor) -> Tensor:
    return best_matches(query, key).index


def search_window(query: Tensor, key: Tensor, radius: int, position_bias: float = 0.0) -> Tensor:
    return best_matches(query, key, radius, position_bias).index


def features(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def cosines(query: Tensor, key: Tensor) -> Tensor:
    """r(i, j) of Eq. 8 in full: ``(N, H·W, H·W)``."""
    q = F.normalize(F.unfold(query, 3, padding=1), dim=1)
    k = F.normalize(F.unfold(key, 3, padding=1), dim=1)
    return q.transpose(1, 2) @ k


def displacements(height: int, width: int) -> tuple[Tensor, Tensor]:
    rows = torch.arange(height).repeat_interleave(width)
    columns = torch.arange(width).repeat(height)
    return rows[None] - rows[:, None], columns[None] - columns[:, None]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [1, 2, 4, 1000])
def test_full_search_is_the_argmax_of_the_whole_matrix(
    shape: tuple[int, ...], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = (rows + 2) * (shape[3] + 2) ** 2
    monkeypatch.setattr(best_match, "_ENTRIES", {"cpu": entries})
    query, key = features(shape), features(shape, 1)
    found = search_full(query, key)
    assert found.dtype == torch.int64
    assert torch.equal(found.flatten(1), cosines(query, key).argmax(2))


def test_a_tie_goes_to_the_lowest_index() -> None:
    query = torch.zeros(1, 1, 9, 9)
    query[0, 0, 4, 4] = 1
    key = torch.zeros(1, 1, 9, 9)
    key[0, 0, 1, 2] = key[0, 0, 6, 6] = 1  # two patches alike
    assert search_full(query, key)[0, 4, 4] == 1 * 9 + 2
    assert search_window(query, key, 4)[0, 4, 4] == 1 * 9 + 2
    assert search_full(torch.zeros_like(query), key).abs().max() == 0


class LargestTensor(TorchDispatchMode):
    """Notes how many entries the largest tensor has that any operation gives."""

    entries = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.entries = max(self.entries, result.numel())
        return result


@pytest.mark.parametrize("radius", [None, 8])
def test_search_takes_no_more_memory_than_its_buffers(
    radius: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    side, entries = 64, 100_000
    monkeypatch.setattr(best_match, "_ENTRIES", {"cpu": entries})
    query = torch.randn(1, 2, side, side)
    with LargestTensor() as largest:
        search_full(query, query) if radius is None else search_window(query, query, radius)
    assert side**4 == 16_777_216
    assert side**2 <= largest.entries <= entries


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [1, 2, 3, 64])
@pytest.mark.parametrize("bias", [0.0, 0.05])
def test_window_search_is_the_masked_argmax(
    shape: tuple[int, ...], radius: int, bias: float
) -> None:
    query, key = features(shape), features(shape, 1)
    dy, dx = displacements(*shape[2:])
    relevance = cosines(query, key) - bias * (dy.square() + dx.square()).sqrt()
    relevance[:, (dy.abs() > radius) | (dx.abs() > radius)] = -torch.inf
    found = search_window(query, key, radius, bias)
    assert torch.equal(found.flatten(1), relevance.argmax(2))


def test_window_search_finds_a_shift() -> None:
    key = features((1, 4, 12, 12))
    query = key.roll((2, -3), (2, 3))  # what is at (y, x) in Q is at (y - 2, x + 3) in K
    inside = identity_index(key)[:, 4:8, 4:8]
    assert torch.equal(search_window(query, key, 3)[:, 4:8, 4:8], inside - 2 * 12 + 3)
    assert not torch.equal(search_window(query, key, 2)[:, 4:8, 4:8], inside - 2 * 12 + 3)


def test_a_strong_position_bias_keeps_every_patch_where_it_is() -> None:
    query, key = features((1, 3, 7, 7)), features((1, 3, 7, 7), 1)
    assert torch.equal(search_window(query, key, 3, 2.1), identity_index(query))


def test_search_follows_the_config() -> None:
    query, key = features((1, 3, 7, 7)), features((1, 3, 7, 7), 1)
    assert search(query, key, NetworkConfig(search="aligned")) is None
    full = search(query, key, NetworkConfig(search="full"))
    assert full is not None
    assert torch.equal(full.index, search_full(query, key))
    config = NetworkConfig(search="window", window_radius=2, position_bias=0.1)
    window = search(query, key, config)
    assert window is not None
    assert torch.equal(window.index, search_window(query, key, 2, 0.1))
    assert not torch.equal(window.index, full.index)


@pytest.mark.parametrize("name", ["full", "window", "aligned"])
def test_attention_map_is_the_same_with_and_without_gradients(name: str) -> None:
    config = NetworkConfig(search=name, window_radius=3, position_bias=0.02)
    query, key = features((2, 3, 7, 9)), features((2, 3, 7, 9), 1)
    index, relevance = attention(query, key, config)
    assert not relevance.requires_grad
    again, learned = attention(query.requires_grad_(), key, config)
    assert learned.requires_grad
    torch.testing.assert_close(relevance, learned.detach(), atol=1e-12, rtol=0)
    torch.testing.assert_close(relevance, relevance_at(query, key, index).detach())
    assert (index is None) == (again is None) == (name == "aligned")
    if index is not None and again is not None:
        assert torch.equal(index, again)


@pytest.mark.parametrize("shape", SHAPES)
def test_relevance_is_the_cosine_at_the_index(shape: tuple[int, ...]) -> None:
    query, key = features(shape), features(shape, 1)
    index = torch.randint(shape[2] * shape[3], (shape[0], *shape[2:]))
    wanted = cosines(query, key).gather(2, index.flatten(1)[:, :, None])
    got = relevance_at(query, key, index)
    torch.testing.assert_close(got, wanted.view(shape[0], 1, *shape[2:]))
    torch.testing.assert_close(
        relevance_at(query, key, search_full(query, key)).flatten(),
        cosines(query, key).amax(2).flatten(),
    )


@pytest.mark.parametrize("aligned", [True, False])
def test_relevance_gradient_reaches_query_and_key(aligned: bool) -> None:
    query, key = (features((1, 2, 3, 4), seed).requires_grad_() for seed in (0, 1))
    index = None if aligned else search_full(query, key)
    assert index is None or not index.requires_grad
    assert torch.autograd.gradcheck(lambda q, k: relevance_at(q, k, index), (query, key))
    relevance_at(query, key, index).sum().backward()
    for tensor in (query, key):
        assert tensor.grad is not None
        assert tensor.grad.abs().max() > 1e-3


def test_window_index_carries_no_gradient() -> None:
    query = features((1, 2, 5, 5)).requires_grad_()
    assert not search_window(query, query, 1).requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_empty_patches_have_no_relevance_and_finite_gradients(dtype: torch.dtype) -> None:
    query = torch.zeros(1, 2, 5, 5, dtype=dtype, requires_grad=True)
    key = torch.ones(1, 2, 5, 5, dtype=dtype)
    relevance = relevance_at(query, key, None)
    assert relevance.abs().max() == 0
    relevance.sum().backward()
    assert query.grad is not None
    assert query.grad.isfinite().all()


def test_patch_norms_are_those_of_unfolded_patches() -> None:
    image = features((2, 3, 4, 5))
    wanted = F.unfold(image, 3, padding=1).norm(dim=1).view(2, 1, 4, 5)
    torch.testing.assert_close(patch_norms(image), wanted)


@pytest.mark.parametrize("shape", SHAPES)
def test_transfer_is_fold_of_gathered_patches(shape: tuple[int, ...]) -> None:
    value = features(shape)
    n, _, height, width = shape
    index = torch.randint(height * width, (n, height, width))
    patches = F.unfold(value, 3, padding=1)
    moved = patches.gather(2, index.view(n, 1, -1).expand_as(patches))
    folded = F.fold(moved, (height, width), 3, padding=1)
    cover = F.fold(torch.ones_like(moved), (height, width), 3, padding=1)
    torch.testing.assert_close(transfer(value, index), folded / 9)
    torch.testing.assert_close(transfer(value, index, "count"), folded / cover)


def test_transfer_carries_gradient_to_the_value() -> None:
    value = features((1, 2, 3, 3)).requires_grad_()
    index = torch.randint(9, (1, 3, 3))
    assert torch.autograd.gradcheck(lambda v: transfer(v, index), (value,))


@pytest.mark.parametrize("shape", SHAPES)
def test_aligned_is_the_identity_index(shape: tuple[int, ...]) -> None:
    query, key = features(shape), features(shape, 1)
    index = identity_index(query)
    torch.testing.assert_close(relevance_at(query, key, None), relevance_at(query, key, index))
    for normalisation in ("nine", "count"):
        torch.testing.assert_close(
            transfer(key, None, normalisation), transfer(key, index, normalisation)
        )
    torch.testing.assert_close(transfer(key, index, "count"), key, atol=1e-12, rtol=0)
    assert torch.equal(transfer(key, None, "count"), key)


def test_division_by_nine_darkens_borders_only() -> None:
    dark = transfer(torch.ones(1, 1, 5, 5), None)[0, 0]
    assert dark[2, 2] == 1
    assert dark[0, 2].item() == pytest.approx(6 / 9)
    assert dark[0, 0].item() == pytest.approx(4 / 9)
