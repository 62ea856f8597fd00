from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cwtnet.geometry import Size
from napari_cwtnet.plugin.viewer.tiled_level import COARSEST_PIXELS, shown_levels
from napari_cwtnet.slides import Level

TILE = Size(256, 256)


def stored(size: Size, *factors: float) -> list[Level]:
    return [
        Level(factor, Size(int(size.width / factor), int(size.height / factor)), TILE)
        for factor in factors
    ]


@pytest.mark.parametrize(
    ("size", "factors", "shown"),
    [
        # Aperio, Hamamatsu, a single level, MIRAX, and a pyramid of odd factors
        (Size(46000, 32914), (1, 4, 16), [(1, 0), (4, 1), (16, 2), (64, None)]),
        (Size(3968, 4864), (1, 2, 4, 8, 16), [(1, 0), (2, 1), (4, 2), (8, 3)]),
        (Size(20000, 20000), (1,), [(1, 0), (4, None), (16, None), (32, None)]),
        (Size(90000, 90000), (1, 8, 64), [(1, 0), (4, None), (8, 1), (32, None), (64, 2),
                                          (128, None)]),
        (Size(20000, 20000), (1, 3.33, 10), [(1, 0), (2, None), (10, 2), (20, None)]),
        (Size(600, 500), (1, 2, 4), [(1, 0)]),
    ],
)  # fmt: skip
def test_levels_that_are_shown(size, factors, shown) -> None:
    got = shown_levels(stored(size, *factors))
    assert [(level.downsample, level.stored) for level in got] == shown


@given(
    width=st.integers(1, 300_000),
    height=st.integers(1, 300_000),
    factors=st.lists(st.sampled_from([2.0, 3.0, 4.0, 7.5, 8.0, 16.0, 64.0]), unique=True),
)
def test_ratios_of_sizes_are_exact_and_the_last_level_is_small(width, height, factors) -> None:
    size = Size(width, height)
    kept = [f for f in sorted(factors) if min(size) / f >= 1]
    levels = shown_levels(stored(size, 1.0, *kept))
    finest, coarsest = levels[0].size, levels[-1]
    for level in levels:
        assert finest == (level.size.width * level.downsample, level.size.height * level.downsample)
    # the extension to whole sizes is less than a pixel of the coarsest level
    assert 0 <= finest.width - width < coarsest.downsample
    assert 0 <= finest.height - height < coarsest.downsample
    pixels = (width / coarsest.downsample) * (height / coarsest.downsample)
    assert pixels <= COARSEST_PIXELS
    downsamples = [level.downsample for level in levels]
    assert downsamples == sorted(set(downsamples))
