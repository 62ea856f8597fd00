"""An exported result that is opened again lies over its slide, and is known as computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from slides.pattern import pattern, shift

from napari_cwtnet.enhancement import enhance
from napari_cwtnet.export import save_image
from napari_cwtnet.geometry import Region
from napari_cwtnet.plugin.reader import add_to, read_ahead, reopened, replace_in
from napari_cwtnet.plugin.viewer.badge import OVERLAY
from napari_cwtnet.plugin.viewer.computed import is_computed
from napari_cwtnet.plugin.viewer.selection import compared_slide, source_layer_in
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.slides import open_slide
from plugin.enhance_help import PLUGIN, write_model

REGION = (101.0, 62.0, 240, 200)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, ome: Path) -> Callable[..., Path]:
    """Writes a bicubic ×4 result of `REGION` and gives its path."""
    folder = tmp_path_factory.mktemp("exported")
    model = write_model(folder, "bicubic", 4)

    def export(name: str, source: Path = ome, region: Any = REGION, **options: Any) -> Path:
        with open_slide(source, **options) as slide:
            result = enhance(slide, region, 2, model=model, reference="none", device="cpu")
        save_image(folder / name, result.image, result.provenance, result.mpp)
        return folder / name

    return export


def off(slide_layer: Any, layer: Any, downsample: float) -> float:
    """How far, in level-0 pixels, a layer's pixels are from the slide's at the same place."""
    image = np.asarray(layer.data[0] if layer.multiscale else layer.data)[..., :3]
    height, width = image.shape[:2]
    first = np.asarray(slide_layer.world_to_data(layer.data_to_world((0, 0))))
    y, x = first + 0.5 - downsample / 2
    want = pattern(Region(x, y, width * downsample, height * downsample), downsample)
    inside = (slice(16, -16), slice(16, -16))
    moved = np.array(shift(want[inside], image[inside])) * downsample
    return float(np.abs(moved).max())


@pytest.mark.parametrize("name", ["a.ome.tif", "a.png"])
def test_registered_within_half_a_level_0_pixel(
    make_napari_viewer: Callable[..., Any], ome: Path, exported: Callable[..., Path], name: str
) -> None:
    viewer = make_napari_viewer()
    for path in (ome, exported(name)):
        add_to(viewer, read_ahead(path))
    slide_layer, layer = viewer.layers
    assert is_computed(layer)
    assert layer.units == slide_layer.units
    assert tuple(layer.scale) == pytest.approx((0.125, 0.125))  # µm
    first = slide_layer.world_to_data(layer.data_to_world((0, 0)))
    assert first == pytest.approx((62 - 0.25, 101 - 0.25))
    assert off(slide_layer, layer, 0.5) < 0.5
    assert "80× from 20× · 0.125 µm/px" in viewer.canvas.overlays[OVERLAY].text


def test_without_a_pixel_size(
    make_napari_viewer: Callable[..., Any], tiff: Path, exported: Callable[..., Path]
) -> None:
    viewer = make_napari_viewer()
    viewer.open([tiff, exported("b.ome.tif", tiff)], plugin=PLUGIN)
    slide_layer, layer = viewer.layers
    assert tuple(layer.scale) == (0.5, 0.5)  # level-0 pixels
    assert off(slide_layer, layer, 0.5) < 0.5


def test_computed_from_computed(
    make_napari_viewer: Callable[..., Any], ome: Path, exported: Callable[..., Path]
) -> None:
    viewer = make_napari_viewer()
    again = exported("again.ome.tif", exported("once.ome.tif"), (31, 43, 150, 120))
    viewer.open([ome, again], plugin=PLUGIN)
    slide_layer, layer = viewer.layers
    first = slide_layer.world_to_data(layer.data_to_world((0, 0)))
    pixel = 0.25
    assert first + 0.5 - pixel / 2 == pytest.approx((62 + 43 / 2, 101 + 31 / 2))
    assert off(slide_layer, layer, pixel) < 0.5


def test_stays_in_place_when_the_slide_s_pixel_size_is_set(
    make_napari_viewer: Callable[..., Any], ome: Path, exported: Callable[..., Path]
) -> None:
    viewer = make_napari_viewer()
    viewer.open([ome, exported("c.ome.tif")], plugin=PLUGIN)
    slide_layer, layer = viewer.layers
    replace_in(viewer, slide_layer, reopened(slide_of(slide_layer), mpp=0.5, icc=True))
    replace_in(viewer, layer, reopened(slide_of(layer), mpp=0.25, icc=True))
    assert off(slide_layer, layer, 0.5) < 0.5
    assert slide_layer.translate == pytest.approx(0)


def test_a_record_that_somebody_damaged_is_shown_at_the_origin(
    make_napari_viewer: Callable[..., Any], ome: Path, exported: Callable[..., Path]
) -> None:
    path = exported("d.ome.tif")
    damaged = path.read_bytes().replace(b"[101.0, 62.0,", b"[1e999, 6.0, ")
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    viewer = make_napari_viewer()
    viewer.open(path, plugin=PLUGIN)
    (layer,) = viewer.layers
    assert is_computed(layer)
    assert tuple(layer.translate) == (0, 0)


def test_a_slide_is_enhanced_rather_than_what_was_computed_of_it(
    enhance_dock: Callable[..., Any], ome: Path, exported: Callable[..., Path]
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.open(exported("e.ome.tif"), plugin=PLUGIN)
    slide_layer, computed = viewer.layers
    assert viewer.layers.selection.active == computed
    dock.form.changed.emit()
    assert "itself computed" not in dock.sentence
    assert str(slide_of(slide_layer).path) in dock.result.copy_command()
    del viewer.layers[0]
    dock.form.changed.emit()
    assert "itself computed: there is no truth" in dock.sentence
    assert "Open the slide that it was made from" in dock.sentence


def test_of_two_slides_the_one_that_it_was_made_of_is_meant(
    enhance_dock: Callable[..., Any], ome: Path, tiff: Path, exported: Callable[..., Path]
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.open(tiff, plugin=PLUGIN)
    dock.form.changed.emit()
    assert str(tiff) in dock.result.copy_command()
    once = exported("f.ome.tif")
    viewer.open(once, plugin=PLUGIN)
    dock.form.changed.emit()
    assert str(ome) in dock.result.copy_command()
    assert compared_slide(viewer, viewer.layers[-1]) == viewer.layers[0]
    viewer.open(exported("g.ome.tif", once, (31, 43, 150, 120)), plugin=PLUGIN)
    assert compared_slide(viewer, viewer.layers[-1]) == viewer.layers[0]


def test_of_a_slide_that_is_open_twice_the_last_one_meant(
    ome: Path, tiff: Path, exported: Callable[..., Path]
) -> None:
    viewer = ViewerModel()
    for path in (ome, ome, tiff, exported("h.ome.tif")):
        add_to(viewer, read_ahead(path))
    once, twice, other, result = viewer.layers
    assert viewer.layers.selection.active is result
    assert [source_layer_in(viewer, last) for last in (once, twice)] == [once, twice]
    assert [source_layer_in(viewer, last) for last in (other, None)] == [twice, twice]


def test_a_slide_that_cannot_be_read_any_more_is_passed_over(
    ome: Path, tiff: Path, exported: Callable[..., Path]
) -> None:
    viewer = ViewerModel()
    for path in (tiff, ome, exported("i.ome.tif")):
        add_to(viewer, read_ahead(path))
    other, closed, result = viewer.layers
    slide_of(closed).close()
    closed.visible, other.visible = False, True
    assert source_layer_in(viewer, other) == other
    assert compared_slide(viewer, result) == other
