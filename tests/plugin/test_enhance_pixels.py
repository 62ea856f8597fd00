"""What is in the result layer, and where it lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slides.pattern import pattern, shift

from napari_cwtnet.enhancement import enhance
from napari_cwtnet.geometry import Region
from napari_cwtnet.plugin.reader import reopened, replace_in
from napari_cwtnet.plugin.viewer.badge import OVERLAY
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from plugin.enhance_help import finish, results, write_model


@pytest.mark.parametrize(("model", "level"), [("tiny-x2", 1.0), ("tiny-x2", 2.0), ("tiny-x4", 2.0)])
def test_bytes_are_those_of_python(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, models: Path, model: str, level: float
) -> None:
    viewer, dock = enhance_dock(ome, model, level)
    viewer.scene.camera.zoom *= 3
    outcome = finish(qtbot, dock)
    assert outcome.kind == "done"
    (layer,) = results(viewer)
    known = layer.metadata[RESULT_KEY]
    direct = enhance(
        slide_of(viewer.layers[0]), known["region"], level, model=models / f"{model}.safetensors"
    )
    assert np.array_equal(layer.data[..., :3], direct.image)
    assert (layer.data[..., 3] == 255).all()
    assert outcome.quality == direct.metrics
    same = known.keys() - {"time", "tiles", "tiles_done", "quality"}
    assert {key: known[key] for key in same} == {key: direct.provenance[key] for key in same}
    assert known["tiles"] == known["tiles_done"] == outcome.total > 1


def test_a_real_slide(
    svs: Path, enhance_dock: Callable[..., Any], qtbot: Any, models: Path
) -> None:
    viewer, dock = enhance_dock(svs, "tiny-x4", None)
    viewer.scene.camera.zoom *= 16
    assert finish(qtbot, dock).kind == "done"
    (layer,) = results(viewer)
    known = layer.metadata[RESULT_KEY]
    direct = enhance(
        slide_of(viewer.layers[0]),
        known["region"],
        known["input_downsample"],
        model=models / "tiny-x4.safetensors",
    )
    assert np.array_equal(layer.data[..., :3], direct.image)
    assert layer.name == "COMPUTED ×4 0.125 µm/px · CMU-1-Small-Region · tiny-x4"


@pytest.mark.parametrize(("scale", "level"), [(2, 1.0), (2, 2.0), (4, 2.0)])
def test_registered_within_half_a_level_0_pixel(
    enhance_dock: Callable[..., Any],
    qtbot: Any,
    ome: Path,
    models: Path,
    scale: int,
    level: float,
) -> None:
    write_model(models, "bicubic", scale)
    viewer, dock = enhance_dock(ome, "bicubic", level)
    slide_layer = viewer.layers[0]
    slide_layer.translate = (11.0, -7.0)
    viewer.reset_view()
    viewer.scene.camera.zoom *= 2
    assert finish(qtbot, dock).kind == "done"
    (layer,) = results(viewer)
    assert layer.units == slide_layer.units
    pixel = level / scale
    first = np.asarray(slide_layer.world_to_data(layer.data_to_world((0, 0))))
    second = np.asarray(slide_layer.world_to_data(layer.data_to_world((1, 1))))
    assert second - first == pytest.approx(pixel)
    height, width = layer.data.shape[:2]
    # from the middle of a level-0 pixel, which is a data coordinate, to the edge of ours
    y, x = first + 0.5 - pixel / 2
    want = pattern(Region(x, y, width * pixel, height * pixel), pixel)
    inside = (slice(8, -8), slice(8, -8))
    moved = np.array(shift(want[inside], layer.data[..., :3][inside])) * pixel
    assert np.abs(moved).max() < 0.5
    assert np.abs(want[inside] - layer.data[..., :3][inside]).mean() < 6


def test_a_new_pixel_size_moves_the_result_with_its_slide(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 4
    finish(qtbot, dock)
    slide_layer, (layer,) = viewer.layers[0], results(viewer)
    before = slide_layer.world_to_data(layer.data_to_world((5, 9)))
    slide_layer.scale = (0.5, 0.5)
    assert slide_layer.world_to_data(layer.data_to_world((5, 9))) == pytest.approx(before)


def test_roi_is_the_bounding_box_of_the_selected_shape(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    assert not dock.roi_button.isEnabled()
    assert dock.roi_button.toolTip().startswith("Draw and select a shape in a Shapes layer first.")
    corners = np.array([[100.0, 200.0], [180.0, 260.0]]) - 0.5  # y, x of pixel edges as data
    shapes = viewer.add_shapes([[[0, 0], [9, 9]], corners], units=("um", "um"), scale=(0.25, 0.25))
    shapes.selected_data = {1}
    qtbot.waitUntil(dock.roi_button.isEnabled, timeout=5000)
    words = "ROI: writes 0.125 µm/px (80×), 120 × 160 pixels, "
    assert dock.sentence.splitlines()[-1].startswith(words)
    assert "The slide is finer" not in dock.sentence
    words = " 1 more shape is not selected; press A with the select tool to select all."
    assert dock.sentence.endswith(words)
    assert dock.roi_button.toolTip().startswith("40× → ")
    chosen = dock.form.level.currentIndex()
    dock.form.level.setCurrentIndex(dock.form.level.findData(8.0))
    assert "ROI: writes 1.000 µm/px (10×), 16 × 22 pixels, 1 tile. The slide" in dock.sentence
    dock.form.level.setCurrentIndex(chosen)
    assert finish(qtbot, dock, dock.enhance_rois).kind == "done"
    (layer,) = results(viewer)
    assert layer.metadata[RESULT_KEY]["region"] == [200, 100, 60, 80]
    assert layer.data.shape == (160, 120, 4)
    assert [*viewer.layers].index(layer) == 1  # over the slide, under the shapes
    assert viewer.layers.selection.active == shapes


def test_name_badge_and_provenance_follow_a_new_pixel_size(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 4
    finish(qtbot, dock)
    slide_layer, (layer,) = viewer.layers[0], results(viewer)
    assert "80× from 40×" in layer.metadata[RESULT_KEY]["badge"]
    replace_in(viewer, slide_layer, reopened(slide_of(slide_layer), mpp=0.5, icc=True))
    known = layer.metadata[RESULT_KEY]
    assert (known["native_mpp"], known["output_mpp"]) == (0.5, 0.25)
    assert known["badge"].startswith("COMPUTED · 40× from 20× · 0.25 µm/px ·")
    assert "40× from 20× · 0.25 µm/px" in viewer.canvas.overlays[OVERLAY].text
    assert layer.name == "COMPUTED ×2 0.25 µm/px · pattern.ome · tiny-x2"
    layer.name = "mine"
    replace_in(viewer, slide_layer, reopened(slide_of(slide_layer), mpp=None, icc=True))
    assert layer.name == "mine"
    assert layer.metadata[RESULT_KEY]["native_mpp"] == 0.25
