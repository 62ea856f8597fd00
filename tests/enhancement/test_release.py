"""What is released is free again, not only forgotten."""

from __future__ import annotations

import sys

import numpy as np
import psutil
import pytest

from napari_cwtnet.enhancement import Engine, EnhanceRequest, make_plan, release_memory
from napari_cwtnet.enhancement.memory import TileOutput
from napari_cwtnet.geometry import Region


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be told to give memory back")
def test_the_memory_of_tiles_goes_back_to_the_system(pattern_slide, make_model) -> None:
    """Pieces of 60 kB: too small for the C library to return them by itself."""
    process, mib = psutil.Process(), 2**20
    engine = Engine(make_model(2), "cpu", cache_bytes=2**30)
    plan = make_plan(pattern_slide, engine.model, EnhanceRequest(Region(0, 0, 60, 60), 1))
    list(engine.run(pattern_slide, plan))
    engine.clear_cache()
    release_memory()
    before = process.memory_info().rss
    pieces = [np.ones((100, 200, 3), np.uint8) for _ in range(5000)]
    for number, piece in enumerate(pieces):
        engine._cache.put(number, TileOutput(piece))
    held = process.memory_info().rss - before
    assert held > 250 * mib
    blocker = np.ones(100_000, np.uint8)  # above them: without it the heap would shrink by itself
    del pieces, piece
    engine.clear_cache()
    release_memory()
    assert process.memory_info().rss - before < 40 * mib
    assert blocker.all()
