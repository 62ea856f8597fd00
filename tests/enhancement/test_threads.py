"""The same bytes from one thread and from many: a window leaves a core free, a shell does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from napari_cwtnet.enhancement import enhance
from napari_cwtnet.slides import Slide


@pytest.fixture
def threads() -> Iterator[None]:
    """Sets the number of threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("scale", "reference"), [(2, "none"), (4, "none"), (4, "next")])
def test_bytes_do_not_depend_on_threads(
    pattern_slide: Slide, make_model: Any, threads: None, scale: int, reference: str
) -> None:
    model = make_model(scale, seed=5, blocks=2, channels=16)
    images = []
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        result = enhance(
            pattern_slide, (0, 0, 300, 220), 2, model=model, reference=reference, device="cpu"
        )
        images.append(result.image)
    assert np.array_equal(images[0], images[1])
    assert np.array_equal(images[0], images[2])
