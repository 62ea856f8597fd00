"""The shipped models on real slides: in place, without seams, better than bicubic."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from slides.pattern import shift

from napari_cwtnet import enhance, load_model, open_slide
from napari_cwtnet.enhancement import (
    Canvas,
    Engine,
    EnhanceRequest,
    Plan,
    TileResult,
    make_plan,
)
from napari_cwtnet.enhancement.check import check
from napari_cwtnet.errors import SlideError
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides.sample import SAMPLE_NAME, sample_slide

SLIDES = [
    "cmu1_small_svs/CMU-1-Small-Region.svs",
    "cmu1_small_dicom/1.2.826.0.1.3680043.8.498.46702941076792458794464453066648511350.dcm",
    "tcga_cr7395_svs/tcga-cr-7395-01a-01-ts1.svs",
    "prostate_pyramid_tiff/slide.tiff",
    "os2_ometiff/OS-2-ndpi.ome.tif",
    "os2_ometiff/OS-2-vsi.ome.tif",
    "stritt_ndpi/test3-DAPI-2-387.ndpi",
    "stritt_ndpi/test3-TRITC-2-560.ndpi",
    "tiny_and_broken/boxes.tiff",
    "tiny_and_broken/boxes_0.dcm",
    "tiny_and_broken/boxes_1.dcm",
]


@pytest.fixture(scope="module")
def cmu(data_dir) -> Path:
    """The sample slide, from the test data or fetched."""
    path = data_dir.root / "slides/cmu1_small_svs" / SAMPLE_NAME
    if path.exists():
        return path
    try:
        return sample_slide()
    except SlideError as error:
        pytest.skip(str(error))


def liveliest_field(slide, side: int) -> Region:
    """The field of the slide with most going on: registration cannot be seen on glass."""
    side = min(side, *slide.size)
    columns = np.linspace(0, slide.size.width - side, 5) + 0.3
    rows = np.linspace(0, slide.size.height - side, 5) + 0.6
    fields = [Region(float(x), float(y), side, side) for x in columns for y in rows]
    return max(fields, key=lambda field: float(slide.read(field, 8).std()))


@pytest.mark.parametrize("downsample", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("name", SLIDES)
def test_registered_within_half_a_level_0_pixel(data_dir, name: str, downsample: float) -> None:
    with open_slide(data_dir / f"slides/{name}") as slide:
        field = liveliest_field(slide, 240)
        for model in ("cwtnet-lite-x2", "cwtnet-lite-x4"):
            result = enhance(slide, field, downsample, model=model, device="cpu")
            image, fineness = result.image, result.plan.output_downsample
            if fineness < 1:
                size = slide.read(result.region, 1).shape[1::-1]
                shrunk = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
                image, fineness = np.asarray(shrunk), 1.0
            dx, dy = shift(slide.read(result.region, fineness), image)
            assert abs(dx) * fineness < 0.5, (model, dx, dy)
            assert abs(dy) * fineness < 0.5, (model, dx, dy)


class View(NamedTuple):
    """A field of the sample slide, computed."""

    plan: Plan
    tiles: list[TileResult]
    image: NDArray[np.uint8]


@pytest.fixture(scope="module")
def view(cmu: Path) -> Callable[..., View]:
    """Computes a field of 1300 × 1300 level-0 pixels, once for all tests."""

    @functools.cache
    def compute(model: str, downsample: float, x: int, y: int) -> View:
        loaded = load_model(model)
        with open_slide(cmu) as slide:
            plan = make_plan(slide, loaded, EnhanceRequest(Region(x, y, 1300, 1300), downsample))
            tiles = list(Engine(loaded, "cpu", 0).run(slide, plan))
        canvas = Canvas(plan)
        for done in tiles:
            canvas.add(done.tile, done.sr)
        return View(plan, tiles, canvas.image)

    return compute


@pytest.mark.parametrize(
    ("model", "downsample", "fields"), [("cwtnet-lite-x2", 2, 1), ("cwtnet-lite-x4", 4, 3)]
)
def test_no_seams(view: Callable[..., View], model: str, downsample: float, fields: int) -> None:
    """Mean absolute gradient across tile borders, within 5 % of that two pixels beside them."""
    at, beside = [], []
    for x, y in ((700, 800), (300, 1200), (850, 300))[:fields]:
        found = gradients(view(model, downsample, x, y))
        at, beside = at + found[0], beside + found[1]
    assert len(at) >= 24
    assert abs(np.mean(at) / np.mean(beside) - 1) < 0.05


def gradients(view: View) -> tuple[list[float], list[float]]:
    """At tile borders and beside them."""
    image, lattice, scale = view.image.astype(float), view.plan.lattice, view.plan.scale
    grid = lattice.grid
    across = (
        np.abs(np.diff(image, axis=1)).mean((0, 2)),
        np.abs(np.diff(image, axis=0)).mean((1, 2)),
    )
    at, beside = [], []
    for axis, gradient in enumerate(across):
        first, begin = lattice.origin[axis], (grid.x, grid.y)[axis]
        step = (grid.step_x, grid.step_y)[axis]
        # The ramp of weights begins and ends half a halo from the border between two owners.
        for border in range(begin, first + len(gradient), step):
            for place in (border - lattice.halo // 2, border, border + lattice.halo // 2):
                position = (place - first) * scale - 1
                if 8 <= position < len(gradient) - 8:
                    at.append(gradient[position])
                    near = [position + offset for offset in (-6, -4, -2, 2, 4, 6)]
                    beside += list(gradient[near])
    return at, beside


@pytest.mark.parametrize(("model", "downsample"), [("cwtnet-lite-x2", 2), ("cwtnet-lite-x4", 4)])
def test_overlapping_tiles_agree_before_they_are_blended(
    view: Callable[..., View], model: str, downsample: float
) -> None:
    """In grey levels, over the ramps where two neighbours both count."""
    plan, done, _ = view(model, downsample, 700, 800)
    tiles = {one.tile.index: one for one in done}
    differences = []
    for (column, row), left in tiles.items():
        right = tiles.get((column + 1, row))
        if right is None:
            continue
        width = left.tile.columns.ramp_out * plan.scale
        assert width > 0
        first, second = left.sr[:, -width:].astype(int), right.sr[:, :width].astype(int)
        differences.append(np.abs(first - second).mean())
    assert len(differences) >= 4
    assert np.mean(differences) < 0.5


def test_the_smallest_slide(data_dir) -> None:
    with open_slide(data_dir / "slides/tiny_and_broken/small.svs") as slide:
        for model, downsample in (("cwtnet-lite-x2", 1), ("cwtnet-lite-x4", 4)):
            result = enhance(slide, slide.bounds, downsample, model=model, device="cpu")
            assert result.image.shape[:2] == result.plan.output_size[::-1]


MIDDLE = Region(555, 742, 1110, 1480)
"""A quarter of the slide."""


def test_lite_x2_beats_bicubic_on_a_slide_never_trained_on(cmu: Path) -> None:
    with open_slide(cmu) as slide:
        found = enhance(slide, MIDDLE, 2, model="cwtnet-lite-x2", device="cpu").metrics
    assert found.psnr - found.psnr_bicubic >= 1.7
    assert found.ssim > found.ssim_bicubic


@pytest.mark.parametrize(
    ("model", "reference", "gain"),
    [("cwtnet-lite-x2", "auto", 0.4), ("cwtnet-lite-x4", "auto", 0), ("cwtnet-lite-x4", "none", 0)],
)
def test_better_than_bicubic_on_levels_made_as_a_slide_of_poor_jpeg_makes_its_own(
    cmu: Path, model: str, reference: str, gain: float
) -> None:
    field = Region(800, 1000, 512, 512)
    with open_slide(cmu) as slide:
        found = check(slide, load_model(model), [field], reference=reference, device="cpu")
    quality, compression = found.quality, found.degradation.compression
    assert (compression.kind, compression.quality) == ("jpeg", 30)
    assert quality.psnr > (quality.psnr_reference_bicubic or quality.psnr_bicubic) + gain
    assert quality.ssim > (quality.ssim_reference_bicubic or quality.ssim_bicubic)


@pytest.mark.parametrize(
    ("model", "downsample", "gain"), [("cwtnet-lite-x2", 2, 0.5), ("cwtnet-lite-x4", 4, 0.1)]
)
def test_better_than_bicubic_where_the_scanner_stored_coarser_levels(
    data_dir, model: str, downsample: int, gain: float
) -> None:
    """Of the stored level itself, a JPEG, which is what the model is given."""
    with open_slide(data_dir / "slides/prostate_pyramid_tiff/slide.tiff") as slide:
        assert [round(level.downsample) for level in slide.levels[:3]] == [1, 2, 4]
        result = enhance(slide, (1000, 1000, 480, 480), downsample, model=model)
    quality = result.metrics
    assert result.plan.source_downsample == downsample
    assert quality.psnr is not None
    assert quality.psnr_bicubic is not None
    assert quality.psnr > (quality.psnr_reference_bicubic or quality.psnr_bicubic) + gain


def test_a_model_that_learnt_stored_levels_is_given_them(data_dir, make_model) -> None:
    model = make_model(2)
    recipe = {"slides": [{"levels": "stored"}]}
    taught = dataclasses.replace(model, provenance=model.provenance | {"recipe": recipe})
    with open_slide(data_dir / "slides/prostate_pyramid_tiff/slide.tiff") as slide:
        request = EnhanceRequest(Region(1000, 1000, 200, 200), 2)
        read = []
        for one in (model, taught):
            engine, plan = Engine(one, "cpu"), make_plan(slide, one, request)
            read.append(engine.read(slide, plan, plan.tiles[0])[0])
        region = plan.tiles[0].read
        assert np.array_equal(read[1], slide.read(region, 2, replicate=True))
        assert np.array_equal(read[0], slide.read(region, 2, replicate=True, source=1))
    assert not np.array_equal(*read)


def test_lite_x4_beats_bicubic_of_the_reference_on_that_slide(cmu: Path) -> None:
    with open_slide(cmu) as slide:
        result = enhance(slide, MIDDLE, 4, model="cwtnet-lite-x4", device="cpu")
        found = result.metrics
        alone = enhance(
            slide, MIDDLE, 4, model="cwtnet-lite-x4", reference="none", device="cpu"
        ).metrics
    assert result.mode == "cross-scale"
    assert found.psnr - found.psnr_reference_bicubic >= 1.0
    assert found.ssim > found.ssim_reference_bicubic
    assert alone.psnr > alone.psnr_bicubic
    assert alone.ssim > alone.ssim_bicubic


@pytest.mark.parametrize("model", ["cwtnet-lite-x2", "cwtnet-lite-x4", "cwtnet-research-x4"])
def test_shipped_models_name_their_recipe(model: str) -> None:
    loaded = load_model(model)
    recipe = loaded.provenance["recipe"]
    assert recipe["name"] == model
    assert loaded.scale == recipe["scale"]
    assert loaded.takes_reference == (recipe["reference_share"] > 0)
    assert loaded.path.stat().st_size < 5_000_000
