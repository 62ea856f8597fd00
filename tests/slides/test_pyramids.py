"""Levels that are not what their sizes say, in every backend, and tiles that are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_cwtnet.slides import Slide, open_slide

APERIO = "Aperio Image Library v1\r\n{} x {} |AppMag = 20|MPP = 0.5"
_JPEG = {"compression": "jpeg", "compressionargs": {"level": 97}}


def picture(width: int, height: int) -> np.ndarray:
    """Blocks of random stain on a gradient, which no shift or mirror maps onto itself."""
    rng = np.random.default_rng(7)
    blocks = np.kron(rng.random((height // 12 + 1, width // 12 + 1)), np.ones((12, 12)))
    y, x = np.mgrid[:height, :width]
    grey = blocks[:height, :width] + 0.4 * x / width + 0.2 * y / height
    out = np.dstack([190 + 30 * grey, 90 + 90 * grey, 150 + 50 * grey])
    return np.rint(out).clip(0, 255).astype(np.uint8)


def box(image: np.ndarray, factor: int) -> np.ndarray:
    """Means of blocks of pixels."""
    height, width = (side // factor for side in image.shape[:2])
    cut = image[: height * factor, : width * factor].astype(float)
    return np.rint(cut.reshape(height, factor, width, factor, 3).mean((1, 3))).astype(np.uint8)


def filled_up(image: np.ndarray, side: int = 256) -> np.ndarray:
    """With white up to whole tiles."""
    rest = [(0, -length % side) for length in image.shape[:2]]
    return np.pad(image, (*rest, (0, 0)), constant_values=255)


FINEST = picture(1200, 900)
HALF, QUARTER = box(FINEST, 2), box(FINEST, 4)


def shrunk(width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(FINEST).resize((width, height), Image.Resampling.BOX))


def write(path: Path, images: Sequence[np.ndarray], **options: object) -> Path:
    """A TIFF whose largest image is level 0, the others being flagged as reduced."""
    largest = max(image.size for image in images)
    aperio = path.suffix == ".svs"
    with tifffile.TiffWriter(path) as writer:
        for image in images:
            writer.write(
                image,
                photometric="rgb",
                tile=(256, 256),
                subfiletype=int(image.size < largest),
                description=APERIO.format(1200, 900) if aperio else None,
                metadata=None,
                **(_JPEG if aperio else {}),
                **options,
            )
    return path


def write_zarr(path: Path, images: Sequence[np.ndarray]) -> Path:
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    datasets = []
    for number, image in enumerate(images):
        array = group.create_array(
            str(number), shape=image.shape, chunks=(256, 256, 3), dtype="uint8"
        )
        array[:] = image
        datasets.append({"path": str(number)})
    axes = [{"name": axis, "type": "space"} for axis in "yx"] + [{"name": "c", "type": "channel"}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return path


def write_any(path: Path, images: Sequence[np.ndarray]) -> Path:
    return (write_zarr if path.suffix == ".zarr" else write)(path, images)


def downsamples(slide: Slide) -> list[float]:
    return [level.downsample for level in slide.levels]


KINDS = ["a.tif", "a.svs", "a.zarr"]


@pytest.mark.parametrize("name", KINDS)
def test_levels_filled_up_to_whole_tiles_are_cut_to_what_they_show(
    tmp_path: Path, name: str
) -> None:
    images = [FINEST, filled_up(HALF), filled_up(QUARTER)]
    with open_slide(write_any(tmp_path / name, images)) as slide:
        assert downsamples(slide) == [1, 2, 4]
        assert [tuple(level.size) for level in slide.levels[1:]] == [(600, 450), (300, 225)]
        assert slide.notes == ()
        for factor, want in ((2, HALF), (4, QUARTER)):
            assert np.abs(slide.read(slide.bounds, factor).astype(int) - want).mean() < 4
        edge = slide.read_tile(1, 2, 1)
        assert edge.shape == (194, 88, 3)
        assert np.abs(edge.astype(int) - HALF[256:, 512:]).mean() < 4


@pytest.mark.parametrize("name", KINDS)
def test_a_level_that_only_looks_filled_up_is_left_out(tmp_path: Path, name: str) -> None:
    other = filled_up(HALF[::-1])
    with open_slide(write_any(tmp_path / name, [FINEST, other])) as slide:
        assert downsamples(slide) == [1]
        assert slide.notes[0].startswith("level of 768 × 512 pixels is not used: its sides are not")


@pytest.mark.parametrize("name", KINDS)
def test_a_level_of_another_aspect_is_left_out_and_the_next_is_not(
    tmp_path: Path, name: str
) -> None:
    images = [FINEST, shrunk(600, 300), QUARTER]
    with open_slide(write_any(tmp_path / name, images)) as slide:
        assert downsamples(slide) == [1, 4]
        assert any(note.startswith("level of 600 × 300 pixels is not used") for note in slide.notes)
        assert np.abs(slide.read_level(1, 0, 0, 300, 225).astype(int) - QUARTER).mean() < 4


@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
def test_levels_in_any_order_and_of_any_factor(tmp_path: Path, name: str) -> None:
    with open_slide(write_any(tmp_path / name, [QUARTER, HALF, FINEST])) as slide:
        assert downsamples(slide) == [1, 2, 4]
        np.testing.assert_array_equal(slide.read(slide.bounds, 1), FINEST)
        np.testing.assert_array_equal(slide.read_level(2, 0, 0, 300, 225), QUARTER)
    third = shrunk(400, 300)
    images = [FINEST, shrunk(800, 600), third]
    with open_slide(write_any(tmp_path / f"odd-{name}", images)) as slide:
        assert downsamples(slide) == [1, 1.5, 3]
        np.testing.assert_array_equal(slide.read(slide.bounds, 3), third)


def without_tile(path: Path, page: int, tile: int) -> Path:
    """The file with a tile of no bytes."""
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages[page].tags["TileByteCounts"]
        tag.overwrite([0 if i == tile else count for i, count in enumerate(tag.value)])
    return path


@pytest.mark.parametrize("name", ["a.tif", "a.svs"])
def test_a_tile_that_a_level_lacks_is_made_of_the_finer_one(tmp_path: Path, name: str) -> None:
    finest = picture(1536, 1024)
    path = write(tmp_path / name, [finest, box(finest, 2), box(finest, 4)])
    without_tile(without_tile(path, 1, 4), 2, 0)
    with open_slide(path) as slide:
        got = slide.read_level(1, 256, 256, 256, 256).astype(int)
        assert np.abs(got - box(finest, 2)[256:512, 256:512]).mean() < 2
        got = slide.read_level(2, 0, 0, 256, 256).astype(int)
        assert np.abs(got - box(finest, 4)[:256, :256]).mean() < 2
