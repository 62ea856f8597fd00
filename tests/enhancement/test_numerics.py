"""Half precision where it is fast, float32 where it is needed, and always told."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch

from napari_cwtnet.enhancement import Engine, enhance, own_dtype
from napari_cwtnet.enhancement import forward as module
from napari_cwtnet.errors import ModelError, RequestError
from napari_cwtnet.slides import Slide

FIELD = (40, 30, 300, 240)


@pytest.mark.parametrize(("units", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_processor_computes_in_what_it_multiplies_itself(
    monkeypatch: pytest.MonkeyPatch, make_model: Any, units: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: units)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert own_dtype(torch.device("cpu")) == dtype
    assert own_dtype(torch.device("mps")) == torch.float32
    engine = Engine(make_model(2), "cpu")
    assert engine.dtype == dtype
    assert engine._forward.networks.get().head.weight.dtype == dtype
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")  # as another torch may be
    assert own_dtype(torch.device("cpu")) == torch.float32


@pytest.mark.parametrize(
    ("capability", "dtype"), [((7, 0), torch.float16), ((6, 1), torch.float32)]
)
def test_cuda_computes_in_half_precision_where_it_has_units_for_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert module.own_dtype(torch.device("cuda:0")) == dtype


def test_bfloat16_is_told_and_differs_by_little(pattern_slide: Slide, make_model: Any) -> None:
    model = make_model(2, seed=3)
    exact, half = (
        enhance(pattern_slide, FIELD, 2, model=model, device="cpu", dtype=dtype)
        for dtype in ("float32", "bfloat16")
    )
    assert exact.provenance["dtype"] == "float32"
    assert half.provenance["dtype"] == "bfloat16"
    difference = np.abs(exact.image.astype(int) - half.image)
    assert 0 < difference.max() <= 3
    assert difference.mean() < 0.5


def test_an_unknown_precision_is_refused(make_model: Any) -> None:
    with pytest.raises(RequestError, match=r"'int8' is unknown; choose one of auto, float32"):
        Engine(make_model(2), "cpu", dtype="int8")


def test_a_network_that_takes_float32_alone_gets_it(
    monkeypatch: pytest.MonkeyPatch, make_model: Any
) -> None:
    model = make_model(2)
    monkeypatch.setattr(type(model.network), "takes_half", False)
    assert Engine(model, "cpu", dtype="bfloat16").dtype == torch.float32


def test_what_overflows_in_half_precision_is_done_again(
    pattern_slide: Slide, make_model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Features of 70,000 are too large for float16; the empty tail leaves bicubic."""
    model = make_model(2)
    with torch.no_grad():
        model.network.head.bias.fill_(70_000)
    settings: dict[str, Any] = {"model": model, "device": "cpu"}
    exact = enhance(pattern_slide, FIELD, 2, **settings, dtype="float32")
    with caplog.at_level(logging.WARNING, "napari_cwtnet"):
        half = enhance(pattern_slide, FIELD, 2, **settings, dtype="float16")
    assert np.array_equal(half.image, exact.image)
    assert half.provenance["float32_tiles"] == len(half.plan.tiles) > 1
    assert "float32_tiles" not in exact.provenance
    (record,) = caplog.records
    assert "not finite in float16; such tiles are computed in float32" in record.message


def test_what_float32_cannot_do_either_is_an_error(pattern_slide: Slide, make_model: Any) -> None:
    model = make_model(2)
    with torch.no_grad():
        model.network.tail[-1].bias.fill_(torch.inf)
    for dtype in ("float32", "bfloat16"):
        with pytest.raises(ModelError, match="not finite; the weights are damaged"):
            enhance(pattern_slide, FIELD, 2, model=model, device="cpu", dtype=dtype)


def test_a_predicted_error_that_is_not_finite_is_done_again_too(
    pattern_slide: Slide, make_model: Any
) -> None:
    """70,000 within the head of the error alone: SR is finite, what is expected of it is not."""
    model = make_model(2, error_channels=4)
    with torch.no_grad():
        model.network.error_head.first.weight.zero_()
        model.network.error_head.first.bias.fill_(60_000)
        model.network.error_head.last.weight.fill_(1e-3)
        model.network.error_head.last.weight[:, ::2] *= -1
        model.network.error_head.first.bias[0] = 1e6
        model.network.error_head.first.bias[1] = 1e6
    half = enhance(pattern_slide, FIELD, 2, model=model, device="cpu", dtype="float16")
    assert half.provenance["float32_tiles"] == len(half.plan.tiles)
    assert half.error is not None
    assert np.isfinite(half.error).all()
