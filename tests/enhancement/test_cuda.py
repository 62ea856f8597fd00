"""Enhancement on a CUDA device: precisions, memory that runs short, and what the model is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from enhancement.test_memory import Short, enhanced
from napari_cwtnet.enhancement import Engine, enhance, own_dtype
from napari_cwtnet.enhancement.memory import LARGEST_TILES
from napari_cwtnet.model import load_model
from napari_cwtnet.model.conditioning import degradation_tensor
from napari_cwtnet.slides import Slide
from napari_cwtnet.slides.degradation import Degradation

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is there")

FIELD = (40, 30, 300, 240)
SHIPPED = ("cwtnet-lite-x2", "cwtnet-lite-x4")


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    LARGEST_TILES.clear()
    yield
    LARGEST_TILES.clear()


def test_float32_equals_the_processors(pattern_slide: Slide) -> None:
    for name in SHIPPED:
        model = load_model(name)
        here, there = (
            enhance(pattern_slide, FIELD, model.scale, model=model, device=d, dtype="float32").image
            for d in ("cpu", "cuda")
        )
        assert np.abs(here.astype(int) - there).max() <= 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", SHIPPED)
def test_half_precision_is_within_a_grey_level(pattern_slide: Slide, name: str, dtype: str) -> None:
    if dtype == "bfloat16" and not torch.cuda.is_bf16_supported():
        pytest.skip("this device has no bfloat16")
    model = load_model(name)
    exact, half = (
        enhance(pattern_slide, FIELD, model.scale, model=model, device="cuda", dtype=d)
        for d in ("float32", dtype)
    )
    assert half.provenance["dtype"] == dtype
    assert "float32_tiles" not in half.provenance
    difference = np.abs(exact.image.astype(int) - half.image)
    assert difference.max() <= 1
    assert difference.mean() < 0.1


def test_its_own_precision_is_the_one_it_is_fast_in(make_model: Any) -> None:
    device = torch.device("cuda")
    assert Engine(make_model(2), "cuda").dtype == own_dtype(device)
    if torch.cuda.get_device_capability() >= (7, 0):
        assert own_dtype(device) == torch.float16


def test_memory_that_runs_short_makes_parts_of_the_same_picture(
    pattern_slide: Slide, make_model: Any
) -> None:
    """The device itself refuses: an allocation that it cannot give is asked for amid a tile."""
    model = make_model(2, seed=1, wt_source="lr_up", halo=24, tile=96)
    whole, untroubled = enhanced(pattern_slide, Engine(model, "cuda", 0, dtype="float32"))
    assert untroubled.in_parts == 0
    engine = Engine(model, "cuda", 0, dtype="float32")

    def refused(_: int, side: int) -> BaseException | None:
        if side <= 80:
            return None
        total = torch.cuda.mem_get_info()[1]
        with pytest.raises(torch.OutOfMemoryError) as caught:
            torch.empty(2 * total, dtype=torch.uint8, device="cuda")
        return caught.value

    Short(engine, refused)
    image, tile_counts = enhanced(pattern_slide, engine)
    assert tile_counts.in_parts > 0
    assert np.abs(image.astype(int) - whole).max() <= 1


@pytest.mark.parametrize("spec", ["bicubic", "box+jpeg75-420", "gauss0.8+sharpen0.5"])
def test_what_it_is_told_counts_as_on_the_processor(spec: str) -> None:
    network = load_model("cwtnet-lite-x2").network.eval()
    lr = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    known = degradation_tensor(Degradation.parse(spec))[None]
    with torch.inference_mode():
        here, nothing = network(lr, degradation=known).sr, network(lr).sr
        network.to("cuda")
        there = network(lr.cuda(), degradation=known.cuda()).sr.cpu()
    network.to("cpu")
    level = 1 / 255
    assert float((here - there).abs().max()) < level / 2
    assert float((here - nothing).abs().max()) > 2 * level
