"""Computed pixels: right place, right values, whatever the tiles."""

from __future__ import annotations

import random

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from slides.pattern import pattern, shift

from napari_cwtnet import enhance, open_slide
from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import (
    Canvas,
    Engine,
    EnhanceRequest,
    GridMemory,
    Quality,
    enlarged,
    make_plan,
    truth,
)
from napari_cwtnet.errors import CancelledError, ModelError, RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.metrics import psnr

FIELD = Region(37, 21, 520, 400)


@pytest.mark.parametrize("reference", ["none", "next"])
def test_an_untrained_model_is_bicubic_of_the_finest_input(
    pattern_slide, make_model, reference
) -> None:
    model = make_model(4)
    result = enhance(pattern_slide, FIELD, 4, model=model, reference=reference, device="cpu")
    expected = enlarged(pattern_slide, result.plan, reference=reference == "next")
    inner = (slice(16, -16), slice(16, -16))
    difference = np.abs(result.image[inner].astype(int) - expected[inner])
    assert difference.max() <= 2
    assert difference.mean() < 0.1


@pytest.mark.parametrize("downsample", [1.0, 1.5, 2.0, 4.0])
@pytest.mark.parametrize("scale", [2, 4])
def test_pixels_lie_where_the_pattern_has_them(
    pattern_slide, make_model, downsample, scale
) -> None:
    region = Region(101.3, 57.7, 380, 300)
    result = enhance(pattern_slide, region, downsample, model=make_model(scale), device="cpu")
    expected = pattern(region, downsample / scale)
    dx, dy = shift(expected, result.image)
    assert abs(dx) * downsample / scale < 0.05
    assert abs(dy) * downsample / scale < 0.05
    assert result.image.shape == expected.shape


def test_tiles_make_what_the_whole_would(pattern_slide, make_model) -> None:
    """Aligned search, one block: a receptive field that the halo holds; no pooling (lr_up)."""
    model = make_model(2, seed=1, wt_source="lr_up", halo=24, tile=96)
    tiled = enhance(pattern_slide, FIELD, 2, model=model, device="cpu", dtype="float32").image
    lr = pattern_slide.read(Region(37, 21, 520, 400), 2, source=1)
    tensor = torch.from_numpy(lr.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        whole = model.network(tensor).sr[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0)
    inner = (slice(64, -64), slice(64, -64))
    assert np.abs(tiled[inner].astype(int) - whole.numpy()[inner]).max() <= 1


def test_the_order_of_tiles_does_not_change_a_byte(pattern_slide, make_model) -> None:
    model = make_model(2, seed=2)
    plan = make_plan(pattern_slide, model, EnhanceRequest(FIELD, 2))
    results = list(Engine(model, "cpu").run(pattern_slide, plan))
    assert len(results) > 12
    first = Canvas(plan)
    for result in results:
        first.add(result.tile, result.sr)
    assert (first.rgba[..., 3] == 255).all()
    for seed in range(3):
        random.Random(seed).shuffle(results)
        again = Canvas(plan)
        for result in results:
            again.add(result.tile, result.sr)
        assert np.array_equal(again.rgba, first.rgba)


@pytest.mark.parametrize("halo", [0, 2, 12])
def test_a_canvas_is_the_weighted_mean_of_its_tiles(pattern_slide, make_model, halo: int) -> None:
    plan = make_plan(pattern_slide, make_model(2, halo=halo), EnhanceRequest(FIELD, 1.5))
    canvas, (width, height) = Canvas(plan), plan.output_size
    sums, weights = np.zeros((height, width, 3), np.int64), np.zeros((height, width, 1), np.int64)
    generator = np.random.default_rng(0)
    for tile in plan.tiles:
        weight = tile.weights(2)[..., None]
        sr = generator.integers(0, 256, (*weight.shape[:2], 3), np.uint8)
        canvas.add(tile, sr)
        top = (tile.rows.start - plan.lattice.origin[1]) * 2
        left = (tile.columns.start - plan.lattice.origin[0]) * 2
        y, x = max(0, top), max(0, left)
        part = (slice(y - top, height - top), slice(x - left, width - left))
        there = (slice(y, top + sr.shape[0]), slice(x, left + sr.shape[1]))
        sums[there] += (sr * weight.astype(np.int64))[part]
        weights[there] += weight[part]
        divisor = np.maximum(weights, 1)
        assert np.array_equal(canvas.rgba[..., :3], (sums + divisor // 2) // divisor)
        assert np.array_equal(canvas.rgba[..., 3:], np.where(weights > 0, 255, 0))
    assert np.array_equal(canvas.image, canvas.rgba[..., :3])
    assert (canvas.rgba[..., 3] == 255).all()


def test_a_part_equals_the_same_part_of_a_larger_region(pattern_slide, make_model) -> None:
    model = make_model(2, seed=3, search="full")  # which reaches over the whole tile
    large = enhance(pattern_slide, Region(0, 0, 600, 480), 2, model=model, device="cpu")
    grid, inside = large.plan.lattice.grid, Region(100, 80, 200, 160)
    part = enhance(pattern_slide, inside, 2, model=model, device="cpu", grid=grid)
    assert np.array_equal(part.image, large.image[80:240, 100:300])
    assert part.provenance["grid"] == large.provenance["grid"]
    alone = enhance(pattern_slide, inside, 2, model=model, device="cpu")
    assert len(alone.plan.tiles) < len(part.plan.tiles)
    assert not np.array_equal(alone.image, part.image)


def test_uncomputed_places_are_transparent(pattern_slide, make_model) -> None:
    model = make_model(2)
    plan = make_plan(pattern_slide, model, EnhanceRequest(FIELD, 2))
    canvas = Canvas(plan)
    assert (canvas.rgba == 0).all()
    first = next(Engine(model, "cpu").run(pattern_slide, plan))
    rows, columns = canvas.add(first.tile, first.sr)
    assert (canvas.rgba[rows, columns, 3] == 255).all()
    canvas.rgba[rows, columns] = 0
    assert (canvas.rgba == 0).all()
    centre = plan.output_size.height // 2, plan.output_size.width // 2
    assert rows.start <= centre[0] < rows.stop
    assert columns.start <= centre[1] < columns.stop


def test_finished_tiles_are_not_computed_again(pattern_slide, make_model) -> None:
    model = make_model(2, seed=4)
    engine = Engine(model, "cpu")
    plan = make_plan(pattern_slide, model, EnhanceRequest(Region(0, 0, 400, 400), 2))
    fresh = list(engine.run(pattern_slide, plan))
    again = list(engine.run(pattern_slide, plan))
    assert not any(r.cached for r in fresh)
    assert all(r.cached for r in again)
    assert all(np.array_equal(a.sr, b.sr) for a, b in zip(fresh, again, strict=True))
    memory = GridMemory()
    assert memory.shared(pattern_slide, plan) == plan
    panned = make_plan(pattern_slide, model, EnhanceRequest(Region(100, 0, 400, 400), 2))
    panned = memory.shared(pattern_slide, panned)
    assert sum(r.cached for r in engine.run(pattern_slide, panned)) >= len(panned.tiles) / 2
    engine.clear_cache()
    assert not next(engine.run(pattern_slide, plan)).cached


def test_the_tile_memory_stays_within_its_budget(pattern_slide, make_model) -> None:
    model = make_model(2)
    engine = Engine(model, "cpu", cache_bytes=100_000)
    plan = make_plan(pattern_slide, model, EnhanceRequest(FIELD, 2))
    sizes = [r.sr.nbytes for r in engine.run(pattern_slide, plan)]
    assert sum(sizes) > 200_000
    kept = sum(r.cached for r in engine.run(pattern_slide, plan))
    assert kept < len(sizes)


def test_cancel_takes_effect_within_one_tile(pattern_slide, make_model) -> None:
    model = make_model(2)
    plan = make_plan(pattern_slide, model, EnhanceRequest(FIELD, 2))
    token = CancelToken()
    seen = 0
    with pytest.raises(CancelledError, match="moved on"):
        for _ in Engine(model, "cpu").run(pattern_slide, plan, token):
            seen += 1
            if seen == 3:
                token.cancel("moved on")
    assert seen == 3


def test_truth_and_figures_only_where_the_slide_holds_them(pattern_slide, make_model) -> None:
    model = make_model(4)
    known = enhance(pattern_slide, FIELD, 4, model=model, device="cpu")
    assert known.mode == "cross-scale"
    figures = known.metrics
    real = truth(pattern_slide, known.plan)
    assert real is not None
    assert np.array_equal(real, pattern_slide.read(FIELD, 1))
    assert figures.psnr == pytest.approx(psnr(known.image, real, crop=4))
    assert figures.psnr_bicubic is not None
    assert figures.psnr_reference_bicubic is not None
    assert figures.psnr_reference_bicubic > figures.psnr_bicubic
    beyond = enhance(pattern_slide, FIELD, 2, model=model, device="cpu")
    assert set(beyond.metrics.as_dict().values()) == {None}


def test_provenance_says_computed_and_names_nobody(pattern_slide, make_model) -> None:
    model = make_model(4)
    result = enhance(pattern_slide, FIELD, 2, model=model, device="cpu")
    record = result.provenance
    assert record["computed"] is True
    assert record["model_sha256"] == model.sha256
    assert record["slide_fingerprint"] == pattern_slide.fingerprint
    assert record["region"] == [37, 21, 520, 400]
    assert record["mode"] == "cross-scale"
    assert record["beyond_native"] is True
    assert record["output_mpp"] == pytest.approx(0.125)
    assert "Research Use Only" in record["notice"]
    assert pattern_slide.path.name not in str(record)


def test_progress_counts_tiles(pattern_slide, make_model) -> None:
    seen: list[tuple[int, int]] = []
    enhance(
        pattern_slide,
        (0, 0, 200, 200),
        2,
        model=make_model(2),
        device="cpu",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert seen[-1] == (len(seen), len(seen))


def test_values_that_are_not_finite_are_an_error(pattern_slide, make_model) -> None:
    model = make_model(2)
    with torch.no_grad():
        model.network.head.bias.fill_(torch.nan)
        model.network.tail[-1].weight.fill_(1)
    with pytest.raises(ModelError, match="not finite"):
        enhance(pattern_slide, (0, 0, 100, 100), 2, model=model, device="cpu")


@pytest.mark.parametrize("side", [729, 730, 731])
@pytest.mark.parametrize(("scale", "downsample"), [(2, 2.0), (4, 4.0), (2, 3.0)])
def test_a_flat_slide_of_odd_size_stays_flat_to_its_last_row(
    tmp_path, make_model, side: int, scale: int, downsample: float
) -> None:
    path = tmp_path / "flat.png"
    Image.new("RGB", (side, side - 2), (100, 60, 140)).save(path)
    with open_slide(path) as slide:
        result = enhance(slide, slide.bounds, downsample, model=make_model(scale), device="cpu")
        plain = enlarged(slide, result.plan, reference=False)
    for image in (result.image, plain):
        assert np.abs(image.astype(int) - (100, 60, 140)).max() <= 1


def test_an_engine_leaves_the_model_alone(make_model) -> None:
    model = make_model(2, seed=5)
    engine = Engine(model, "cpu")
    with torch.no_grad():
        model.network.head.weight.zero_()
    assert engine._forward.networks.get().head.weight.detach().abs().sum() > 0


def test_two_slides_of_one_size_do_not_share_tiles(tmp_path, make_model) -> None:
    engine = Engine(make_model(2), "cpu")
    seen = []
    for name, colour in (("a", (200, 30, 30)), ("b", (30, 30, 200))):
        image = np.full((2000, 2000, 3), 90, np.uint8)
        image[1000:] = colour
        tifffile.imwrite(tmp_path / f"{name}.tif", image, tile=(256, 256), photometric="rgb")
        with open_slide(tmp_path / f"{name}.tif") as slide:
            plan = make_plan(slide, engine.model, EnhanceRequest(Region(900, 1500, 80, 80), 1))
            seen.append(next(engine.run(slide, plan)).sr[40, 40].tolist())
    assert seen == [[200, 30, 30], [30, 30, 200]]


def test_cancelled_while_measuring(pattern_slide, make_model) -> None:
    token = CancelToken()

    def after_the_last_tile(done: int, total: int) -> None:
        if done == total:
            token.cancel("enough")

    with pytest.raises(CancelledError, match="enough"):
        enhance(
            pattern_slide, (0, 0, 200, 200), 2, model=make_model(2), device="cpu",
            cancel=token, progress=after_the_last_tile,
        )  # fmt: skip


def test_more_pixels_than_memory_bears_are_refused_at_once(
    pattern_slide, make_model, monkeypatch
) -> None:
    monkeypatch.setattr("napari_cwtnet.enhancement.result.MAX_OUTPUT_PIXELS", 10_000)
    with pytest.raises(RequestError, match="1040 × 800 pixels, more than"):
        enhance(pattern_slide, FIELD, 1, model=make_model(2), device="cpu")


def test_what_python_users_get_wrong(pattern_slide, make_model) -> None:
    model = make_model(2)
    with pytest.raises(RequestError, match=r"'a.svs' is not an open slide"):
        enhance("a.svs", (0, 0, 9, 9), 1, model=model)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="is not four numbers"):
        enhance(pattern_slide, (0, 0, 9), 1, model=model)


def test_an_unknown_device_is_refused(pattern_slide, make_model) -> None:
    with pytest.raises(RequestError, match="Device 'tpu' is not available"):
        enhance(pattern_slide, (0, 0, 100, 100), 2, model=make_model(2), device="tpu")


def test_worse_than_bicubic_is_said() -> None:
    assert Quality().warning == ""
    assert Quality(30.001, 0.9, 30.004, 0.8).warning == ""  # told, both would be 30.00
    assert Quality(psnr=30.0, psnr_bicubic=29.0).warning == ""
    assert "Worse than bicubic here (30.00 against 31.00 dB)" in Quality(30.0, 0.9, 31.0).warning
    beaten = Quality(psnr=30.0, psnr_bicubic=25.0, psnr_reference_bicubic=30.5)
    assert "bicubic of the reference here (30.00 against 30.50 dB)" in beaten.warning


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ((0.91, 0.92, None), "SSIM is below that of bicubic here (0.9100 against 0.9200), though"),
        ((0.9155, 0.9156, None), "SSIM is a little below that of bicubic here (0.9155 against"),
        ((0.93, 0.92, 0.94), "SSIM is below that of bicubic of the reference here (0.9300 against"),
        ((0.92, 0.92, None), ""),
        ((0.91234, 0.91235, None), ""),  # nobody sees in the figures that it is less
        ((None, 0.92, None), ""),  # a whole slide has no SSIM
    ],
)
def test_ssim_below_bicubic_is_said_where_psnr_is_above(
    figures: tuple[float | None, ...], words: str
) -> None:
    ssim, bicubic, reference = figures
    quality = Quality(31.0, ssim, 30.0, bicubic, 30.5, reference)
    assert quality.warning.startswith(words)
    assert bool(quality.warning) == bool(words)
    worse = Quality(29.0, ssim, 30.0, bicubic, 30.5, reference)
    assert worse.warning.startswith("Worse than bicubic of the reference here (29.00")
