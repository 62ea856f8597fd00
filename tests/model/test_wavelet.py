"""The Haar transform against PyWavelets, and its inverse."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cwtnet.model.wavelet import BANDS, dwt, idwt, sub_bands

PYWT_ORDER = {"LL": 0, "LH": 1, "HL": 2, "HH": 3}


@pytest.mark.parametrize("band", BANDS)
def test_band_is_that_of_pywavelets(band: str) -> None:
    image = np.random.default_rng(1).random((3, 10, 14))
    approximation, details = pywt.dwt2(image, "haar")
    wanted = (approximation, *details)[PYWT_ORDER[band]]
    np.testing.assert_allclose(dwt(torch.from_numpy(image))[band].numpy(), wanted, atol=1e-12)


def test_hh_is_the_filter_of_eq_4() -> None:
    image = torch.zeros(2, 2)
    for (row, column), sign in {(0, 0): 1, (0, 1): -1, (1, 0): -1, (1, 1): 1}.items():
        image.zero_()
        image[row, column] = 1
        assert dwt(image)["HH"].item() == sign / 2


def test_a_horizontal_edge_is_in_lh_alone() -> None:
    image = torch.zeros(4, 4)
    image[1:] = 1
    bands = dwt(image)
    assert bands["LH"][0].tolist() == [-1, -1]
    assert bands["HL"].abs().max() == 0
    assert bands["HH"].abs().max() == 0


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    seed=st.integers(0, 2**31),
    channels=st.integers(1, 3),
)
def test_idwt_undoes_dwt(height: int, width: int, seed: int, channels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(2, channels, 2 * height, 2 * width, generator=generator)
    torch.testing.assert_close(idwt(dwt(image)), image, atol=1e-6, rtol=0)


def test_energy_is_kept() -> None:
    image = torch.rand(1, 3, 8, 6, dtype=torch.float64)
    energy = sum(band.square().sum() for band in dwt(image).values())
    torch.testing.assert_close(energy, image.square().sum())


@pytest.mark.parametrize("shape", [(1, 3, 5, 4), (1, 3, 4, 5)])
def test_odd_sizes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"even sizes, got \(1, 3, \d, \d\)"):
        dwt(torch.zeros(shape))


def test_sub_bands_are_stacked_in_the_order_asked_for() -> None:
    image = torch.rand(2, 3, 6, 8)
    bands = dwt(image)
    stacked = sub_bands(image, ("HH", "LH"))
    assert stacked.shape == (2, 6, 3, 4)
    assert torch.equal(stacked[:, :3], bands["HH"])
    assert torch.equal(stacked[:, 3:], bands["LH"])


def test_hh_of_a_pixel_shuffle_is_a_sum_of_its_channels() -> None:
    z = torch.rand(2, 12, 5, 7, dtype=torch.float64)
    z0, z1, z2, z3 = z.view(2, 3, 4, 5, 7).unbind(2)
    shuffled = torch.nn.functional.pixel_shuffle(z, 2)
    torch.testing.assert_close(dwt(shuffled)["HH"], (z0 - z1 - z2 + z3) / 2)
