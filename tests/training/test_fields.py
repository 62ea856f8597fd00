"""LR, reference and truth of a field show the same places, however they are cut and turned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.training.fields import (
    Batch,
    Field,
    PatchSampler,
    batch_of,
    load_fields,
    source_files,
)
from napari_cwtnet.training.recipe import ImageSource
from napari_cwtnet.training.validation import centre_crops

WAVES = ((2 * np.pi / 61, 0.3), (2 * np.pi / 83, 1.1))  # frequency along x and y, phase


def waves(height: int, width: int) -> NDArray[np.uint8]:
    """A pattern whose value says the place: red waves along x, green along y."""
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    red = np.broadcast_to(np.sin(WAVES[0][0] * x + WAVES[0][1]), (height, width))
    green = np.broadcast_to(np.sin(WAVES[1][0] * y + WAVES[1][1])[:, None], (height, width))
    image = np.stack((red, green, np.zeros((height, width))), 2)
    return (127.5 + 100 * image).round().astype(np.uint8)


def source(folder: Path, **changes: object) -> ImageSource:
    fields = {"name": "waves", "folder": folder.name, "licence": "CC0-1.0"}
    return ImageSource.model_validate(fields | changes)


def wave_field(folder: Path, scale: int, halvings: int = 0, side: int = 192) -> Field:
    Image.fromarray(waves(side, side + 16)).save(folder / "waves.png")
    wave_source = source(folder, halvings=halvings)
    (field,) = load_fields(wave_source, folder.parent, scale, held_out=False)
    return field


def displacement(image: NDArray[np.uint8], truth: NDArray[np.uint8], factor: int) -> float:
    """Distance, in truth pixels, by which ``image`` lies beside the truth it was made from.

    The truth's wave, averaged over each pixel of ``image``, is fitted by itself and its slope.
    """
    height, width = image.shape[:2]
    cut = truth[: factor * height, : factor * width].astype(float)
    means = cut.reshape(height, factor, width, factor, 3).mean((1, 3))
    inside = (slice(4, -4), slice(4, -4))
    moved = []
    for channel, axis in ((0, 1), (1, 0)):
        plane = means[..., channel]
        slope = np.gradient(plane, axis=axis)[inside] / factor
        error = (image[..., channel] - plane)[inside]
        moved.append(float((error * slope).sum() / (slope * slope).sum()))
    return float(np.hypot(*moved))


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("halvings", [0, 1])
def test_all_images_of_a_field_show_the_same_place(
    tmp_path: Path, scale: int, halvings: int
) -> None:
    field = wave_field(tmp_path, scale, halvings)
    h, w = field.lr.shape[:2]
    assert field.reference.shape == (2 * h, 2 * w, 3)
    assert field.truth.shape == (scale * h, scale * w, 3)
    if scale < 8:  # at 8 and halved, too few pixels are left to measure by
        assert displacement(field.lr, field.truth, scale) < 0.05
    assert displacement(field.reference, field.truth, scale // 2) < 0.05
    shifted = np.roll(field.reference, 1, 1)
    assert displacement(shifted, field.truth, scale // 2) > 0.9 * scale / 2


def test_halved_image_is_the_same_field_at_half_size(tmp_path: Path) -> None:
    field = wave_field(tmp_path, 2, halvings=1)
    whole = waves(192, 208)
    assert field.truth.shape == (96, 96, 3)  # 104 columns are cut to a multiple of 16
    assert displacement(field.truth, whole, 2) < 0.05


def test_sides_are_cut_to_multiples_of_16(tmp_path: Path) -> None:
    Image.fromarray(waves(67, 50)).save(tmp_path / "odd.png")
    (field,) = load_fields(source(tmp_path), tmp_path.parent, 4, held_out=False)
    assert field.truth.shape == (64, 48, 3)
    assert np.array_equal(field.truth, waves(67, 50)[:64, :48])


@pytest.mark.parametrize("scale", [2, 4])
def test_patches_stay_registered_under_all_flips_and_turns(tmp_path: Path, scale: int) -> None:
    """Each pixel's value tells its place, so a patch's turn can be read off its corners."""
    side = 48
    index = np.arange(side * side).reshape(side, side)
    lr = np.stack((index // side * 5, index % side * 5, 0 * index), 2).astype(np.uint8)
    enlarged = {f: lr.repeat(f, 0).repeat(f, 1) for f in (2, scale)}
    field = Field("places", lr, enlarged[2], enlarged[scale])
    sampler = PatchSampler([(1.0, [field])], scale, 16)
    batch = sampler.batch(64, np.random.default_rng(0))
    turns = set()
    for image, reference, truth in zip(batch.lr, batch.reference, batch.truth, strict=True):
        for finer, factor in ((reference, 2), (truth, scale)):
            again = image.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
            assert torch.equal(finer, again)
        rows, columns = (image[:2] * 51).round().int()
        assert rows.unique().numel() == columns.unique().numel() == 16
        corner, right, below = (rows[i] * 100 + columns[i] for i in ((0, 0), (0, 1), (1, 0)))
        turns.add((int(right - corner), int(below - corner)))
    assert len(turns) == 8


def test_same_seed_same_batches(data_root: Path) -> None:
    images = data_root / "blocks"

    def draw(seed: int) -> list[Batch]:
        fields = list(load_fields(source(images), data_root, 4, held_out=False))
        sampler = PatchSampler([(1.0, fields)], 4, 8)
        generator = np.random.default_rng(seed)
        return [sampler.batch(3, generator) for _ in range(3)]

    first, again, other = draw(1), draw(1), draw(2)
    for a, b, c in zip(first, again, other, strict=True):
        assert torch.equal(a.lr, b.lr)
        assert torch.equal(a.reference, b.reference)
        assert torch.equal(a.truth, b.truth)
        assert not torch.equal(a.truth, c.truth)
    assert not torch.equal(first[0].truth, first[1].truth)


def test_batch_shapes_and_range(data_root: Path) -> None:
    fields = list(load_fields(source(data_root / "blocks"), data_root, 4, held_out=False))
    batch = PatchSampler([(1.0, fields)], 4, 8).batch(3, np.random.default_rng(0))
    assert batch.lr.shape == (3, 3, 8, 8)
    assert batch.reference.shape == (3, 3, 16, 16)
    assert batch.truth.shape == (3, 3, 32, 32)
    assert set((batch.truth * 255).round().unique().tolist()) == {40, 90, 120, 200, 220, 230}


def flat(value: int, side: int = 16) -> Field:
    image = np.full((side, side, 3), value, np.uint8)
    return Field(
        str(value), image, image.repeat(2, 0).repeat(2, 1), image.repeat(2, 0).repeat(2, 1)
    )


def test_sources_are_drawn_by_weight_and_fields_by_area() -> None:
    sampler = PatchSampler([(3.0, [flat(1), flat(2, 32)]), (1.0, [flat(3)])], 2, 8)
    batch = sampler.batch(4000, np.random.default_rng(0))
    drawn = (batch.lr[:, 0, 0, 0] * 255).round().int()
    shares = [float((drawn == value).float().mean()) for value in (1, 2, 3)]
    assert shares == pytest.approx([0.15, 0.60, 0.25], abs=0.03)


def test_fields_below_a_patch_are_passed_over() -> None:
    sampler = PatchSampler([(1.0, [flat(1, 8), flat(2, 16)])], 2, 16)
    assert (sampler.batch(20, np.random.default_rng(0)).lr * 255 == 2).all()
    with pytest.raises(TrainingError, match=r"as large as one patch \(32 pixels\); choose"):
        PatchSampler([(1.0, [flat(1, 8)])], 2, 16)


def test_held_out_files_are_split_off(data_root: Path) -> None:
    blocks = source(data_root / "blocks", held_out=["4*", "1.png"])
    training = [p.name for p in source_files(blocks, data_root, held_out=False)]
    held_out = [p.name for p in source_files(blocks, data_root, held_out=True)]
    assert training == ["0.png", "2.png", "3.png"]
    assert held_out == ["1.png", "4.png"]
    fields = load_fields(blocks, data_root, 2, held_out=True)
    assert [field.name for field in fields] == held_out


def test_hidden_and_other_files_are_no_images(data_root: Path) -> None:
    (data_root / "blocks" / ".0.png").write_bytes(b"not an image")
    (data_root / "blocks" / "notes.txt").write_text("not an image")
    assert len(list(load_fields(source(data_root / "blocks"), data_root, 2, held_out=False))) == 5


def test_folder_without_images_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(TrainingError, match=r"Source 'waves': folder .* holds no PNG, JPEG or"):
            list(load_fields(source(folder), tmp_path.parent, 2, held_out=False))


def test_image_below_16_pixels_is_passed_over(tmp_path: Path) -> None:
    Image.fromarray(waves(15, 64)).save(tmp_path / "thin.png")
    Image.fromarray(waves(16, 64)).save(tmp_path / "wide.png")
    fields = list(load_fields(source(tmp_path), tmp_path.parent, 8, held_out=False))
    assert [field.name for field in fields] == ["wide.png"]
    assert fields[0].lr.shape == (2, 8, 3)
    assert not list(load_fields(source(tmp_path, halvings=1), tmp_path.parent, 8, held_out=False))


@pytest.mark.parametrize("keep", [0, 20, 300])
def test_damaged_image_is_named(data_root: Path, keep: int) -> None:
    path = data_root / "blocks" / "2.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TrainingError) as caught:
        list(load_fields(source(data_root / "blocks"), data_root, 2, held_out=False))
    assert f"image {path} cannot be read: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scale", [2, 4])
def test_centre_crop_is_the_same_place_in_all_images(tmp_path: Path, scale: int) -> None:
    field = wave_field(tmp_path, scale)
    (crop,) = centre_crops([field], scale, 30)
    h, w = field.lr.shape[:2]
    y, x = (h - 30) // 2, (w - 30) // 2
    assert np.array_equal(crop.lr, field.lr[y : y + 30, x : x + 30])
    assert crop.reference.shape == (60, 60, 3)
    assert np.array_equal(
        crop.truth, field.truth[scale * y : scale * (y + 30), scale * x : scale * (x + 30)]
    )
    assert displacement(crop.lr, crop.truth, scale) < 0.05
    (whole,) = centre_crops([field], scale, 10_000)
    assert np.array_equal(whole.truth, field.truth)


def test_whole_field_as_a_batch() -> None:
    batch = batch_of(flat(51))
    assert batch.lr.shape == (1, 3, 16, 16)
    assert batch.truth.shape == (1, 3, 32, 32)
    assert (batch.lr == torch.tensor(0.2)).all()
