"""Bicubic resampling is Pillow's, which is how slides are read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from napari_cwtnet.model.blocks import bicubic


def by_pillow(plane: np.ndarray, factor: float) -> np.ndarray:
    height, width = (round(side * factor) for side in plane.shape)
    resized = Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized)


@pytest.mark.parametrize("factor", [2, 4, 8, 0.5, 0.25])
@pytest.mark.parametrize("shape", [(16, 24), (36, 20)])
def test_is_pillow_s(factor: float, shape: tuple[int, int]) -> None:
    planes = np.random.default_rng(0).random((3, *shape), dtype=np.float32)
    wanted = np.stack([by_pillow(plane, factor) for plane in planes])
    got = bicubic(torch.from_numpy(planes)[None], factor)[0].numpy()
    np.testing.assert_allclose(got, wanted, atol=2e-6)


def test_a_factor_of_one_changes_nothing() -> None:
    image = torch.rand(1, 3, 5, 7)
    assert torch.equal(bicubic(image, 1), image)


def test_places_are_kept() -> None:
    """A ramp over the field is the same ramp on every grid, away from the borders."""
    ramp = (torch.arange(32, dtype=torch.float64) + 0.5).expand(1, 1, 32, 32)
    for factor in (2, 0.5):
        n = round(32 * factor)
        wanted = (torch.arange(n, dtype=torch.float64) + 0.5) / factor
        got = bicubic(ramp, factor)[0, 0, n // 2]
        inside = slice(n // 4, -n // 4)
        torch.testing.assert_close(got[inside], wanted[inside], atol=1e-9, rtol=0)


def test_sixteen_bit_floats_are_resampled_too() -> None:
    image = torch.rand(1, 3, 8, 8)
    for dtype in (torch.bfloat16, torch.float16):
        got = bicubic(image.to(dtype), 2)
        assert got.dtype == dtype
        torch.testing.assert_close(got.float(), bicubic(image, 2), atol=0.02, rtol=0)
