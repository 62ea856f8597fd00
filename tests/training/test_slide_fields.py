"""Fields of slides: registered, of tissue, and never near what is held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFilter
from slides.pattern import pattern, shift, write_ome

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import open_slide
from napari_cwtnet.training.data import TrainingData, guard_band, load_data
from napari_cwtnet.training.fields import PatchSampler
from napari_cwtnet.training.slide_fields import blocks, read_field
from napari_cwtnet.training.split import grown
from training.conftest import tiles, tiny_recipe


def load(path: Path, *more: dict[str, Any], recipe: dict[str, Any] | None = None, **fields: Any):
    """Data of a recipe with this slide, and the recipe."""
    slides = [{"path": path.name} | fields, *more]
    made = tiny_recipe(**{"sources": [], "slides": slides} | (recipe or {}))
    return load_data(made, path.parent), made


def place_slide(folder: Path, width: int = 1024, height: int = 256) -> Path:
    """Red and green tell the column: its hundreds of 16, and the rest; blue is sharp noise."""
    x = np.broadcast_to(np.arange(width), (height, width))
    noise = np.random.default_rng(0).integers(40, 90, (height, width))
    Image.fromarray(np.stack((x // 8, x % 8 * 8, noise), 2).astype(np.uint8)).save(
        folder / "places.png"
    )
    return folder / "places.png"


@pytest.mark.parametrize("levels", ["computed", "stored", "own"])
@pytest.mark.parametrize("downsample", [1, 2])
@pytest.mark.parametrize("scale", [2, 4])
def test_lr_reference_and_truth_are_where_the_pattern_is(
    tmp_path: Path, levels: str, downsample: int, scale: int
) -> None:
    region = Region(96, 64, 576, 384)
    with open_slide(write_ome(tmp_path / "slide.ome.tif")) as slide:
        field = read_field(slide, region, downsample, scale, levels)
    for image, factor in ((field.lr, scale), (field.reference, scale // 2), (field.truth, 1)):
        d = downsample * factor
        want = pattern(region, d)
        assert image.shape == want.shape == (384 // d, 576 // d, 3)
        assert max(map(abs, shift(want, image))) < 0.05
        assert np.abs(image - want).max() < 1.5 + 0.5 * d


def test_computed_levels_come_from_level_0_and_stored_ones_from_the_scanner(tmp_path: Path) -> None:
    """A slide whose coarser level is the negative of its level 0 tells them apart."""
    path = tmp_path / "slide.tif"
    image = tiles(0, 256)
    with tifffile.TiffWriter(path) as writer:
        for number, level in enumerate((image, 255 - image[::2, ::2])):
            writer.write(
                level, tile=(128, 128), photometric="rgb", subfiletype=min(number, 1), metadata=None
            )
    region = Region(32, 32, 64, 64)
    with open_slide(path) as slide:
        computed = read_field(slide, region, 1, 2, "computed")
        stored = read_field(slide, region, 1, 2, "stored")
        assert np.array_equal(stored.lr, slide.read_level(1, 16, 16, 32, 32))
    truth = image[32:96, 32:96]
    assert np.array_equal(computed.truth, truth)
    assert np.array_equal(stored.truth, truth)
    whole = np.asarray(Image.fromarray(image).resize((128, 128), Image.Resampling.BICUBIC))
    assert np.array_equal(computed.lr, whole[16:48, 16:48])
    assert np.array_equal(computed.reference, truth)


def test_blocks_cover_an_area_evenly() -> None:
    found = blocks([Region(3, 0, 1000, 200)], 4, 96, 32)
    assert [str(block) for block in found][:2] == ["4,0,328,200", "332,0,328,200"]
    assert [(b.width, b.height) for b in found] == [(328, 200), (328, 200), (336, 200)]
    assert found[-1].right == 996
    assert blocks([Region(0, 0, 1000, 120)], 4, 96, 32) == []


def test_no_training_patch_shows_a_pixel_within_the_guard_band(tmp_path: Path) -> None:
    data, recipe = load(place_slide(tmp_path))
    guard = guard_band(recipe)
    assert guard > 2 * 20  # more than twenty LR pixels even for the smallest network
    held_out = 1024 * 2 / 3
    columns = []
    sampler = PatchSampler(data.training, 2, recipe.patch)
    batch = sampler.batch(400, np.random.default_rng(0))
    for truth in (batch.truth * 255).round().int():
        columns += [int((truth[0] * 8 + truth[1] // 8).max())]
    assert held_out - guard - 40 < max(columns) < held_out - guard
    for field in data.held_out:
        shown = field.truth[..., 0].astype(int) * 8 + field.truth[..., 1] // 8
        assert shown.min() >= held_out


def test_glass_and_blur_are_left_out(tmp_path: Path) -> None:
    sharp = np.concatenate([tiles(n, 256) for n in range(6)], 1)
    sharp[:, 256:512] = 242
    blurred = np.asarray(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(6)))
    sharp[:, 512:768] = blurred[:, 512:768]
    path = tmp_path / "slide.png"
    Image.fromarray(sharp).save(path)
    areas = [(x, 0, 256, 256) for x in (0, 256, 512, 768)]
    data, _ = load(path, regions=areas, held_out=[(1280, 0, 256, 256)])
    ((_, fields),) = data.training
    assert sorted(f.name for f in fields) == [
        "slide.png at 1: 0,0,256,256",
        "slide.png at 1: 768,0,256,256",
    ]
    assert "2 fields to train on (32,768 LR pixels), " in data.remarks[0]
    assert " held out (16,384, 33% of both), " in data.remarks[0]
    assert "more held out" not in data.remarks[0]
    assert "1 blank and 1 blurred" in data.remarks[0]


def test_where_most_is_held_out_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "slide.png"
    Image.fromarray(np.concatenate([tiles(n, 256) for n in range(4)], 1)).save(path)
    data, _ = load(path, held_out_share=0.6)
    assert "more held out than trained on: hold out a smaller share" in data.remarks[0]


def test_slide_of_glass_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "glass.png"
    Image.new("RGB", (600, 400), (243, 242, 241)).save(path)
    with pytest.raises(
        TrainingError, match=r"Slide 'glass\.png' has no field for training \(\d+ b"
    ):
        load(path)


def test_limits_and_seed(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.fromarray(np.concatenate([tiles(n, 1024) for n in range(3)], 1)).save(path)
    fields = {"memory": 2, "validation_fields": 3}

    def names(data: TrainingData) -> list[str]:
        return [f.name for f in (*data.training[0][1], *data.held_out)]

    few, _ = load(path, recipe={"patch": 128}, **fields)
    again, _ = load(path, recipe={"patch": 128}, **fields)
    other, _ = load(path, recipe={"patch": 128, "seed": 5}, **fields)
    assert len(few.held_out) == 3
    used = sum(f.lr.nbytes + f.truth.nbytes for f in few.training[0][1])
    largest = max(f.lr.nbytes + f.truth.nbytes for f in few.training[0][1])
    assert 2 * 2**20 <= used < 2 * 2**20 + largest
    assert names(few) == names(again) != names(other)


def test_several_octaves_of_one_slide(tmp_path: Path) -> None:
    path = tmp_path / "slide.png"
    Image.fromarray(np.concatenate([tiles(n, 1024) for n in range(3)], 1)).save(path)
    data, recipe = load(path, downsamples=[1, 4])
    sizes = {f.name.split(":")[0]: f.truth.shape for f in (*data.training[0][1], *data.held_out)}
    assert {name.split(" at ")[1] for name in sizes} == {"1", "4"}
    assert guard_band(recipe) == 4 * guard_band(tiny_recipe())


def test_one_slide_in_two_sources_must_not_leak(tmp_path: Path) -> None:
    """The file's name does not matter: the second is a copy."""
    path = place_slide(tmp_path)
    (tmp_path / "copy.png").write_bytes(path.read_bytes())
    with pytest.raises(TrainingError) as caught:
        load(path, {"path": "copy.png", "held_out_share": 0})
    assert "is trained on and region" in str(caught.value)
    assert "but they overlap" in str(caught.value)


def test_split_by_slide(tmp_path: Path) -> None:
    first = place_slide(tmp_path)
    Image.fromarray(tiles(1, 256)).save(tmp_path / "second.png")
    data, _ = load(first, {"path": "second.png", "held_out_share": 1}, held_out_share=0)
    assert {f.name.split(" at ")[0] for f in data.held_out} == {"second.png"}
    assert {f.name.split(" at ")[0] for _, fs in data.training for f in fs} == {"places.png"}


def test_another_slide_under_the_same_name_is_refused(tmp_path: Path) -> None:
    path = place_slide(tmp_path)
    with open_slide(path) as slide:
        right = slide.fingerprint
    load(path, fingerprint=right)
    with pytest.raises(TrainingError, match=f"fingerprint {right}, the recipe wants 0123; give"):
        load(path, fingerprint="0123")


@pytest.mark.parametrize("levels", ["computed", "stored", "own"])
def test_real_slide(data_dir, levels: str) -> None:
    path = data_dir / "slides/cmu1_small_svs/CMU-1-Small-Region.svs"
    data, recipe = load(path, levels=levels)
    with open_slide(path) as slide:
        size = slide.size
    guard = guard_band(recipe)
    for _, fields in data.training:
        for field in fields:
            region = Region.parse(field.name.split(": ")[1])
            assert region.right <= size.width * 2 / 3 - guard
            assert field.truth.shape[0] == region.height == 2 * field.lr.shape[0]
    assert len(data.held_out) == 16
    for field in data.held_out:
        region = Region.parse(field.name.split(": ")[1])
        assert grown(region, 1e-9).x > size.width * 2 / 3 - 1e-6
