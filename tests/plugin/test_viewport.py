from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_cwtnet.geometry import Region
from napari_cwtnet.plugin.viewer.viewport import (
    box_on,
    lay_over,
    look_at,
    result_transform,
    screen_pixel,
    visible_region,
    zoom_for,
    zoom_to,
)

PLUGIN = "napari-cwtnet"


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    viewer.canvas.size = (300, 400)  # height, width
    return viewer


def box(region: Region | None) -> list[float]:
    assert region is not None
    return [region.x, region.y, region.right, region.bottom]


def test_region_of_a_known_camera(viewer: ViewerModel, ome: Path) -> None:
    (layer,) = viewer.open(ome, plugin=PLUGIN)
    # one screen pixel is 0.5 µm, which is 2 pixels of 0.25 µm; looking at x 300.5, y 200.5
    viewer.scene.camera.center = (0, 200 * 0.25, 300 * 0.25)
    viewer.scene.camera.zoom = 2.0
    assert screen_pixel(viewer, layer) == pytest.approx(2.0)
    # 400 × 300 screen pixels are 800 × 600 of the slide, which ends at 731 × 517
    assert box(visible_region(viewer, layer)) == pytest.approx([0, 0, 700.5, 500.5])
    viewer.scene.camera.zoom = 16.0
    assert screen_pixel(viewer, layer) == pytest.approx(0.25)
    assert box(visible_region(viewer, layer)) == pytest.approx([250.5, 163, 350.5, 238])


def test_scale_translate_and_units_do_not_change_what_is_seen(
    viewer: ViewerModel, ome: Path
) -> None:
    (layer,) = viewer.open(ome, plugin=PLUGIN)
    layer.scale = (0.5, 0.25)
    layer.translate = (1000, -70)
    viewer.scene.camera.center = (0, 1000 + 200 * 0.5, -70 + 300 * 0.25)
    viewer.scene.camera.zoom = 8.0
    want = [300.5 - 100, 200.5 - 37.5, 300.5 + 100, 200.5 + 37.5]
    assert box(visible_region(viewer, layer)) == pytest.approx(want)
    assert screen_pixel(viewer, layer) == pytest.approx(0.5)  # the coarser of the two directions


def test_a_layer_in_nanometres_turns_the_world_into_them(viewer: ViewerModel, ome: Path) -> None:
    (layer,) = viewer.open(ome, plugin=PLUGIN)
    viewer.add_image(np.zeros((8, 8)), scale=(250, 250), units=("nm", "nm"))
    viewer.scene.camera.center = (0, 200 * 250, 300 * 250)
    viewer.scene.camera.zoom = 0.016
    assert screen_pixel(viewer, layer) == pytest.approx(0.25)
    assert box(visible_region(viewer, layer)) == pytest.approx([250.5, 163, 350.5, 238])
    look_at(viewer, layer, 100, 50)
    centre = visible_region(viewer, layer)
    assert (centre.x + centre.width / 2, centre.y + centre.height / 2) == pytest.approx((100, 50))


def test_plain_image(viewer: ViewerModel) -> None:
    layer = viewer.add_image(np.zeros((50, 80, 3), np.uint8), rgb=True)
    viewer.reset_view()
    assert box(visible_region(viewer, layer)) == pytest.approx([0, 0, 80, 50])


def test_nothing_is_seen_elsewhere_or_in_3d(viewer: ViewerModel, ome: Path) -> None:
    (layer,) = viewer.open(ome, plugin=PLUGIN)
    viewer.scene.camera.center = (0, 1e5, 1e5)
    assert visible_region(viewer, layer) is None
    viewer.reset_view()
    viewer.dims.ndisplay = 3
    assert visible_region(viewer, layer) is None


def test_the_extension_of_levels_is_not_part_of_the_slide(viewer: ViewerModel, svs: Path) -> None:
    (layer,) = viewer.open(svs, plugin=PLUGIN)
    assert layer.data[0].shape[:2] == (2968, 2220)
    viewer.reset_view()
    assert box(visible_region(viewer, layer)) == pytest.approx([0, 0, 2220, 2967])


@pytest.mark.parametrize("pixel", [0.1, 1, 2.004, 50])
def test_zoom_for_is_the_inverse_of_screen_pixel(
    viewer: ViewerModel, ome: Path, pixel: float
) -> None:
    (layer,) = viewer.open(ome, plugin=PLUGIN)
    zoom_to(viewer, layer, pixel)
    assert viewer.scene.camera.zoom == pytest.approx(zoom_for(viewer, layer, pixel))
    assert screen_pixel(viewer, layer) == pytest.approx(pixel)


def test_result_transform_by_hand(viewer: ViewerModel, ome: Path) -> None:
    (layer,) = viewer.open(ome, plugin=PLUGIN)
    layer.translate = (3, 5)
    scale, translate = result_transform(layer, Region(100, 60, 40, 30), 0.5)
    assert scale == pytest.approx((0.125, 0.125))
    # the first result pixel's centre is a quarter of a pixel within level-0 pixel 60, 100
    assert translate == pytest.approx((3 + 59.75 * 0.25, 5 + 99.75 * 0.25))


@pytest.mark.parametrize("downsample", [0.25, 0.5, 1.0, 2.0, 3.7])
def test_result_lies_on_the_slide(viewer: ViewerModel, ome: Path, downsample: float) -> None:
    """World positions of result pixels, looked up in the slide's layer, hold the same pattern."""
    (layer,) = viewer.open(ome, plugin=PLUGIN)
    region = Region(100.5, 60.25, 300, 200)
    scale, translate = result_transform(layer, region, downsample)
    width, height = region.size_at(downsample)
    rows, columns = np.arange(height), np.arange(width)
    y = (translate[0] + rows * scale[0]) / layer.scale[0] + 0.5
    x = (translate[1] + columns * scale[1]) / layer.scale[1] + 0.5
    np.testing.assert_allclose(x, region.x + (columns + 0.5) * downsample)
    np.testing.assert_allclose(y, region.y + (rows + 0.5) * downsample)


def test_a_layer_lies_on_a_slide_that_is_turned_sheared_and_stretched() -> None:
    slide = Image(
        np.zeros((100, 200, 3), np.uint8),
        rgb=True,
        scale=(0.5, 0.25),
        translate=(3, 4),
        rotate=30,
        shear=[0.2],
        affine=np.array([[1, 0.1, 5], [-0.2, 1, 6], [0, 0, 1]]),
        units=("um", "um"),
    )
    result, region = Image(np.zeros((60, 80, 3), np.uint8), rgb=True), Region(10.5, 20.25, 40, 30)
    lay_over(result, slide, region, 0.5)
    edges = [[-0.5, -0.5], [59.5, 79.5]]  # of its first and last pixel
    assert box(box_on(slide, result, edges)) == pytest.approx(box(region))
    slide.rotate = -70
    assert box(box_on(slide, result, edges)) != pytest.approx(box(region))
    lay_over(result, slide, region, 0.5)
    assert box(box_on(slide, result, edges)) == pytest.approx(box(region))
