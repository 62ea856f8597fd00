"""Glass and blur are told from tissue."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from napari_cwtnet.training.slide_fields import sharpness, tissue_mask
from training.conftest import tiles


@pytest.mark.parametrize(
    ("colour", "tissue"),
    [
        ((243, 241, 240), False),  # glass
        ((200, 205, 203), False),  # dim glass
        ((0, 0, 0), False),  # beyond the scan
        ((235, 205, 222), True),  # pale eosin
        ((90, 40, 120), True),  # haematoxylin
        ((120, 120, 120), True),  # unstained, dark
        ((3, 4, 60), True),  # DAPI
    ],
)
def test_colour_of_tissue(colour: tuple[int, int, int], tissue: bool) -> None:
    mask = tissue_mask(np.full((2, 3, 3), colour, np.uint8))
    assert mask.shape == (2, 3)
    assert (mask == tissue).all()


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    image = np.zeros((5, 5, 3), np.uint8)
    image[2, 2] = 80  # a point: -320 in the middle, 80 on four sides, over nine places
    values = np.array([-320.0, 80, 80, 80, 80, 0, 0, 0, 0])
    assert sharpness(image) == pytest.approx(values.var())
    assert sharpness(np.full((9, 9, 3), 200, np.uint8)) == 0


def test_blur_costs_sharpness() -> None:
    image = Image.fromarray(tiles(0))
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(2)))
    assert sharpness(blurred) < 0.1 * sharpness(np.asarray(image))
