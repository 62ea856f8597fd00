from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from slides.pattern import HEIGHT, WIDTH, pattern, shift, stored, write_tiff

from napari_cwtnet.geometry import Region
from napari_cwtnet.plugin.viewer.tiled_level import tiled_levels
from napari_cwtnet.slides import open_slide


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of levels 1 and 16 whose sizes are rounded, so that 4 is derived."""
    import tifffile

    path = tmp_path_factory.mktemp("large") / "large.tif"
    with tifffile.TiffWriter(path) as writer:
        for factor in (1, 16):
            writer.write(
                stored(factor, 5003, 4001), tile=(256, 256), photometric="rgb",
                subfiletype=int(factor > 1), metadata=None, compression="zlib",
            )  # fmt: skip
    return path


def fail(message: str) -> None:
    raise AssertionError(message)


def test_each_level_lies_where_the_ratio_of_sizes_says(large: Path) -> None:
    with open_slide(large) as slide:
        levels = tiled_levels(slide, fail)
        assert [level.downsample for level in levels] == [1, 4, 16]
        for level in levels:
            ratio = levels[0].shape[1] / level.shape[1]  # as napari computes it
            assert ratio == levels[0].shape[0] / level.shape[0] == level.downsample
            # a part near the far corner, where a shift would be the largest
            y, x = level.shape[0] - 400 // level.downsample - 8, level.shape[1] - 90
            got = level[y - 60 : y, x - 60 : x]
            want = pattern(
                Region((x - 60) * ratio, (y - 60) * ratio, 60 * ratio, 60 * ratio), ratio
            )
            assert np.abs(got - want).max() < 1 + 0.5 * ratio
            if ratio < 16:  # beyond, the pattern's waves are too short to measure by
                assert max(map(abs, shift(want, got))) < 0.05


def test_pixels_beyond_the_slide_are_background(tmp_path: Path) -> None:
    with open_slide(write_tiff(tmp_path / "p.tif", (1,))) as slide:
        slide_levels = tiled_levels(slide, fail)
    assert slide_levels[0].shape == (HEIGHT, WIDTH, 3)


def test_extended_levels_are_background_beyond_the_slide(large: Path) -> None:
    with open_slide(large) as slide:
        level = tiled_levels(slide, fail)[0]
        assert level.shape == (4016, 5008, 3)
        assert (level[:, 5003:] == 255).all()
        assert (level[4001:] == 255).all()
        assert level[4000, 5002, 0] != 255 or level[4000, 5002, 1] != 255


INDICES = [
    np.s_[3:40, 5:77], np.s_[10], np.s_[..., 1], np.s_[-5:, -7:-2, 0], np.s_[::7, 100:0:-3],
    np.s_[5, 6], np.s_[5, 6, 2], np.s_[:0], np.s_[20:10, 3], np.s_[100:600, 600:900, ::-1],
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("derived", [False, True])
def test_indexing_is_numpys(tiff: Path, large: Path, index, derived: bool) -> None:
    with open_slide(large if derived else tiff) as slide:
        level = tiled_levels(slide, fail)[1 if derived else 0]
        whole = np.asarray(level)
        assert whole.shape == level.shape
        assert whole.dtype == level.dtype
        assert whole.size == level.size
        np.testing.assert_array_equal(level[index], whole[index])


def test_index_out_of_bounds(tiff: Path) -> None:
    with open_slide(tiff) as slide, pytest.raises(IndexError, match=f"index {HEIGHT}"):
        tiled_levels(slide, fail)[0][HEIGHT]


def test_an_array_is_a_copy_and_a_deep_copy_is_the_level(tiff: Path) -> None:
    with open_slide(tiff) as slide:
        level = tiled_levels(slide, fail)[0]
        assert copy.deepcopy(level) is level
        with pytest.raises(ValueError, match="copy"):
            level.__array__(copy=False)
        assert np.asarray(level, dtype=np.float32).dtype == np.float32


def test_chunks_are_whole_tiles(tiff: Path, large: Path) -> None:
    with open_slide(tiff) as slide:
        assert tiled_levels(slide, fail)[0].chunks == (256, 256, 3)  # two tiles of 128
    with open_slide(large) as slide:
        assert tiled_levels(slide, fail)[1].chunks == (512, 512, 3)


def test_second_look_decodes_nothing(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_slide(large) as slide:
        for level in tiled_levels(slide, fail):
            first = level[100:300, 100:300]
            with monkeypatch.context() as patch:
                patch.setattr(slide._backend, "read_tile", lambda *_: pytest.fail("decoded"))
                np.testing.assert_array_equal(level[100:300, 100:300], first)


def test_broken_tile_is_background_and_told_once(
    tiff: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cwtnet.errors import SlideError

    told: list[str] = []
    with open_slide(tiff) as slide:
        sound = np.asarray(tiled_levels(slide, fail)[0])
    with open_slide(tiff) as slide:
        read = slide._backend.read_tile

        def damaged(level: int, column: int, row: int):
            if (column, row) == (3, 2):
                raise SlideError("tile 3,2 is damaged")
            return read(level, column, row)

        monkeypatch.setattr(slide._backend, "read_tile", damaged)
        level = tiled_levels(slide, told.append)[0]
        for _ in range(2):
            got = np.asarray(level)
    assert told == ["tile 3,2 is damaged"]
    lost = np.zeros(got.shape[:2], bool)
    lost[256:512, 256:512] = True  # its chunk of two by two tiles
    assert (got[lost] == 255).all()
    np.testing.assert_array_equal(got[~lost], sound[~lost])
