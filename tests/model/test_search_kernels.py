"""The quick searches, relevance and transfer against plain loops: shapes, formats, borders."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model import search_reference
from napari_cwtnet.model import best_match
from napari_cwtnet.model.attention import relevance_at, transfer
from napari_cwtnet.model.best_match import best_matches

ROUNDING = 3e-6  # of a cosine of float32 sums
LAYOUTS = ["plain", "channels last", "every other", "transposed"]


def laid_out(features: Tensor, layout: str) -> Tensor:
    """The same values, otherwise in memory."""
    if layout == "channels last":
        return features.contiguous(memory_format=torch.channels_last)
    if layout == "every other":
        wide = features.new_zeros((*features.shape[:3], 2 * features.shape[3]))
        wide[..., ::2] = features
        return wide[..., ::2]
    if layout == "transposed":
        return features.transpose(2, 3).contiguous().transpose(2, 3)
    return features


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """Queries, keys and settings; small buffers and strips make many parts of a small field."""
    shape = [draw(st.integers(1, most)) for most in (3, 6, 19, 19)]
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    query, key = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    if draw(st.booleans()):  # a part of the field without any content, as glass is
        key[:, :, : shape[2] // 2] = 0
        query[:, :, :, shape[3] // 2 :] = 0
    return {
        "dtype": draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16])),
        "query": query,
        "key": key,
        "layout": draw(st.sampled_from(LAYOUTS)),
        "radius": draw(st.one_of(st.none(), st.integers(1, 12))),
        "bias": draw(st.sampled_from([0.0, 0.03])),
        "entries": draw(st.sampled_from([1, 2000, 1 << 19])),
        "strip": draw(st.integers(1, 20)),
        "depth": draw(st.integers(1, 24)),
        "synchronous": draw(st.booleans()),
    }


def cosines(query: Tensor, key: Tensor) -> Tensor:
    q = F.normalize(F.unfold(query, 3, padding=1), dim=1)
    return q.transpose(1, 2) @ F.normalize(F.unfold(key, 3, padding=1), dim=1)


def searched(case: dict[str, Any], cosine: Tensor) -> Tensor:
    """What is compared: relevance less the bias, and nothing beyond the radius."""
    height, width = case["query"].shape[2:]
    row, column = torch.arange(height).repeat_interleave(width), torch.arange(width).repeat(height)
    dy, dx = row[None] - row[:, None], column[None] - column[:, None]
    if case["radius"] is None:
        return cosine - case["bias"] * torch.hypot(dy.double(), dx.double())
    beyond = (dy.abs() > case["radius"]) | (dx.abs() > case["radius"])
    away = case["bias"] * torch.hypot(dy.double(), dx.double())
    return (cosine - away).masked_fill(beyond, -torch.inf)


@settings(max_examples=150, deadline=None)
@given(case=cases())
def test_search_finds_the_best(case: dict[str, Any]) -> None:
    query, key = (case[name].to(case["dtype"]) for name in ("query", "key"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(best_match, "_ENTRIES", {"cpu": case["entries"]})
        patch.setattr(best_match, "_STRIP", {"cpu": case["strip"]})
        patch.setattr(best_match, "_DEPTH", case["depth"])
        patch.setattr(best_match, "_KEYS_AT_ONCE", {"cpu": case["depth"] * query.shape[3]})
        patch.setattr(best_match, "_SYNCHRONOUS", {"cpu"} if case["synchronous"] else set())
        found = best_matches(
            laid_out(query, case["layout"]),
            laid_out(key, case["layout"]),
            case["radius"],
            case["bias"],
        )
    index, relevance = found.index, found.relevance
    cosine = cosines(query.double(), key.double())
    values = searched(case, cosine)
    rounding = 1e-13 if case["dtype"] == torch.float64 else ROUNDING
    taken = values.gather(2, index.flatten(1)[..., None])[..., 0]
    best, first = values.max(2)
    assert (best - taken).max() <= rounding
    # Where no other place comes near, it is that place.
    others = values.scatter(2, first[..., None], -torch.inf).amax(2)
    clear = best - others > 2 * rounding
    assert torch.equal(index.flatten(1)[clear], first[clear])
    torch.testing.assert_close(
        relevance.flatten(1).double(),
        cosine.gather(2, index.flatten(1)[..., None])[..., 0],
        atol=rounding,
        rtol=0,
    )


@settings(max_examples=40, deadline=None)
@given(case=cases())
def test_search_is_that_of_the_plain_loops(case: dict[str, Any]) -> None:
    query, key = case["query"], case["key"]
    if case["radius"] is None:
        wanted = search_reference.search_full(query, key)
        assert torch.equal(best_matches(query, key).index, wanted)
    else:
        wanted = search_reference.search_window(query, key, case["radius"], case["bias"])
        assert torch.equal(best_matches(query, key, case["radius"], case["bias"]).index, wanted)


@pytest.mark.parametrize("radius", [None, 3, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("synchronous", [True, False])
def test_the_first_of_equal_patches_wins(
    radius: int | None, dtype: torch.dtype, synchronous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(best_match, "_SYNCHRONOUS", {"cpu"} if synchronous else set())
    # Whole numbers: their sums have no rounding, in whatever order a product adds them up.
    cell = torch.randint(-3, 4, (1, 32, 2, 2), generator=torch.Generator().manual_seed(0))
    key = cell.repeat(1, 1, 20, 35).to(dtype)  # a period of two pixels along either axis
    index = best_matches(key, key, radius).index[0]
    row, column = torch.arange(40)[:, None], torch.arange(70)[None]
    reach = 70 if radius is None else radius
    # Inside, every second pixel is as good; borders differ from all else.
    first_row = torch.where((row - reach < 1), 2 - row % 2, row - reach + reach % 2)
    first_column = torch.where((column - reach < 1), 2 - column % 2, column - reach + reach % 2)
    inside = (slice(1, 39), slice(1, 69))
    assert torch.equal(index[inside], (first_row * 70 + first_column)[inside])


def test_sums_are_in_float32_whatever_the_features_are_in() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(1, 64, 24, 24, generator=generator) + 1 for _ in range(2))
    low, also_low = query.bfloat16(), key.bfloat16()
    found = best_matches(low, also_low)
    assert found.relevance.dtype == torch.float32
    same = best_matches(low.float(), also_low.float())
    assert torch.equal(found.index, same.index)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = best_matches(low.float(), also_low.float())
    assert torch.equal(under_autocast.relevance, same.relevance)
    for index in (None, found.index):
        given_ = relevance_at(low, also_low, index)
        assert given_.dtype == torch.bfloat16
        exact = relevance_at(low.double(), also_low.double(), index)
        assert ((given_ - exact) / exact).abs().max() < 2**-8  # one rounding, at the end


@settings(max_examples=60, deadline=None)
@given(case=cases(), normalisation=st.sampled_from(["nine", "count"]))
def test_relevance_and_transfer_are_those_of_the_plain_loops(
    case: dict[str, Any], normalisation: str
) -> None:
    n, _, height, width = case["query"].shape
    query, key = (case[name].to(case["dtype"]) for name in ("query", "key"))
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(height * width, (n, height, width), generator=generator)
    rounding = {torch.float32: 3e-6, torch.float64: 1e-13}.get(case["dtype"], 2**-6)
    for given_, wanted in (
        (
            relevance_at(laid_out(query, case["layout"]), laid_out(key, case["layout"]), index),
            search_reference.relevance_at(query.double(), key.double(), index),
        ),
        (
            transfer(laid_out(key, case["layout"]), index, normalisation),
            search_reference.transfer(key.double(), index, normalisation),
        ),
    ):
        assert given_.dtype == case["dtype"]
        torch.testing.assert_close(given_.double(), wanted, atol=rounding, rtol=rounding)


def test_gradients_are_those_of_the_plain_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(35, (2, 5, 7), generator=generator)
    features = [torch.randn(2, 4, 5, 7, generator=generator) for _ in range(2)]
    gradients = []
    for module in (search_reference, None):
        query, key = (tensor.clone().requires_grad_() for tensor in features)
        at, move = (
            (relevance_at, transfer) if module is None else (module.relevance_at, module.transfer)
        )
        (at(query, key, index).square().sum() + move(key, index).square().sum()).backward()
        gradients.append((query.grad, key.grad))
    for given_, wanted in zip(*reversed(gradients), strict=True):
        torch.testing.assert_close(given_, wanted)
