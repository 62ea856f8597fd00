from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import Slide
from napari_cwtnet.slides.backend import TileCache
from napari_cwtnet.slides.backends.tiff import TiffBackend
from slides.pattern import write_tiff

TILE = np.zeros((10, 10, 3), np.uint8)


def test_bytes_stay_within_the_bound_and_the_oldest_go_first() -> None:
    cache = TileCache(1000)
    for column in range(10):
        cache.get(("a", 0, column, 0), TILE.copy)
        assert cache.nbytes <= 1000
    assert cache.nbytes == 900
    decoded: list[int] = []
    for column in range(10):
        cache.get(("a", 0, column, 0), lambda column=column: decoded.append(column) or TILE.copy())
        if column == 0:
            cache.get(("a", 0, 9, 0), lambda: pytest.fail("the newest tile was dropped"))
    assert 0 in decoded


def test_a_tile_above_the_bound_is_given_but_not_kept() -> None:
    cache = TileCache(100)
    assert cache.get(("a", 0, 0, 0), TILE.copy).shape == TILE.shape
    assert cache.nbytes == 0


def test_a_tile_wanted_by_many_threads_is_decoded_once() -> None:
    cache = TileCache()
    count = 0
    ready = threading.Barrier(8)

    def decode():
        nonlocal count
        count += 1
        threading.Event().wait(0.05)
        return TILE.copy()

    def want(_: int):
        ready.wait()
        return cache.get(("a", 0, 0, 0), decode)

    with ThreadPoolExecutor(8) as pool:
        tiles = list(pool.map(want, range(8)))
    assert count == 1
    assert all(tile is tiles[0] for tile in tiles)


def test_an_error_is_raised_to_all_and_not_kept() -> None:
    cache = TileCache()

    def fail():
        raise ValueError("broken")

    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            cache.get(("a", 0, 0, 0), fail)
    assert cache.get(("a", 0, 0, 0), TILE.copy).shape == TILE.shape


def test_a_slide_reads_right_through_a_small_cache_and_frees_it(tmp_path) -> None:
    path = write_tiff(tmp_path / "a.tif")
    small, large = TileCache(3 * 128 * 128 * 3), TileCache()
    with Slide(path, TiffBackend(path), cache=small) as tight:
        got = tight.read(tight.bounds, 1.3)
        assert 0 < small.nbytes <= 3 * 128 * 128 * 3
        with Slide(path, TiffBackend(path), cache=large) as roomy:
            np.testing.assert_array_equal(got, roomy.read(Region(0, 0, *roomy.size), 1.3))
            assert large.nbytes == 731 * 517 * 3
    assert small.nbytes == large.nbytes == 0
