"""Sharpness stands in for a kernel that the file does not tell, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from enhancement.test_check import tissue, write_pyramid
from napari_cwtnet.enhancement import Engine, EnhanceRequest, enhance, make_plan
from napari_cwtnet.enhancement.plan import KERNELS, with_sharpness
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import Slide, open_slide
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation, Kernel
from napari_cwtnet.slides.degrade import degrade

REGION = Region(64, 64, 128, 128)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slide]:
    """Level 0, of which no file tells the kernel, and a level of 2×2 means, which give it away."""
    finest = tissue(512, 512)
    half = degrade(finest, Degradation(Kernel("box")))
    path = tmp_path_factory.mktemp("sharpness") / "slide.tif"
    with open_slide(write_pyramid(path, [finest, half], 90)) as opened:
        assert opened.degradation(1).kernel is None
        assert opened.degradation(2).kernel == Kernel("box")
        yield opened


def test_another_picture_where_the_kernel_is_not_known(slide: Slide, make_model) -> None:
    model = make_model(2, seed=1, conditioning=8)
    pictures = {
        sharpness: enhance(slide, REGION, 1, model=model, sharpness=sharpness, device="cpu")
        for sharpness in ("auto", *KERNELS)
    }
    for sharpness, result in pictures.items():
        assert result.provenance["sharpness"] == sharpness
        kernel = KERNELS.get(sharpness)
        told = None if kernel is None else str(kernel)
        assert result.provenance["degradation"]["kernel"] == told
    images = {result.image.tobytes() for result in pictures.values()}
    assert len(images) == len(pictures)


def test_the_same_picture_where_the_kernel_is_known(slide: Slide, make_model) -> None:
    model = make_model(2, seed=1, conditioning=8)
    first, other = (
        enhance(slide, REGION, 2, model=model, sharpness=sharpness, device="cpu")
        for sharpness in ("auto", "softest")
    )
    assert np.array_equal(first.image, other.image)
    assert other.provenance["degradation"]["kernel"] == "box"


def test_the_same_picture_by_a_model_that_takes_no_degradation(slide: Slide, make_model) -> None:
    model = make_model(2, seed=1)
    first, other = (
        enhance(slide, REGION, 1, model=model, sharpness=sharpness, device="cpu").image
        for sharpness in ("auto", "softest")
    )
    assert np.array_equal(first, other)


def test_tiles_are_remembered_by_sharpness(slide: Slide, make_model) -> None:
    model = make_model(2, seed=1, conditioning=8)
    engine = Engine(model, "cpu")
    cached = []
    for sharpness in ("auto", "soft", "auto"):
        plan = make_plan(slide, model, EnhanceRequest(REGION, 1, sharpness=sharpness))
        cached.append([finished.cached for finished in engine.run(slide, plan)])
    assert not any(cached[0] + cached[1])
    assert all(cached[2])


def test_what_a_sharpness_stands_for() -> None:
    assert with_sharpness(UNKNOWN, "auto") == UNKNOWN
    soft = with_sharpness(UNKNOWN, "soft")
    assert (soft.kernel, soft.sharpening, soft.kernel_source) == (
        Kernel("gauss", 0.8),
        0,
        "assumed",
    )
    known = Degradation.parse("lanczos+jpeg80")
    assert with_sharpness(known, "soft") == known
    with pytest.raises(RequestError, match=r"Sharpness 'crisp' is unknown.*softest"):
        EnhanceRequest(REGION, 1, sharpness="crisp")
