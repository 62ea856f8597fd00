"""Shapes to GeoJSON and back, in place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari._app_model.actions._file import new_shapes

from napari_cwtnet.enhancement import enhance
from napari_cwtnet.export import Roi, read_rois, save_image, write_rois
from napari_cwtnet.geometry import Region
from napari_cwtnet.plugin.reader import reopened, replace_in
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.slides import open_slide
from plugin.enhance_help import finish, results

CORNERS = np.array([[20.0, 10.0], [20.0, 60.0], [50.0, 60.0], [50.0, 10.0]]) - 0.5
"""y, x of the pixel edges 20..50 and 10..60, as a layer's data."""
SQUARE = ((10.5, 20.25), (60.0, 20.25), (60.0, 50.0), (1 / 3, 50.0))


def test_shapes_become_polygons_in_level_0_pixels(
    enhance_dock: Callable[..., Any], ome: Path, tmp_path: Path, messages: list[str]
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.layers[0].translate = (3.0, -2.0)
    shapes = viewer.add_shapes(
        [CORNERS, CORNERS, CORNERS[:3]],
        shape_type=["rectangle", "ellipse", "polygon"],
        scale=(0.25, 0.25),
        translate=(3.0, -2.0),
        units=("um", "um"),
    )
    shapes.add(CORNERS[:2], shape_type="line")
    dock.result.export_rois(tmp_path / "a.geojson")
    assert messages == ["Written: a.geojson, 3 regions"]
    rectangle, ellipse, polygon = read_rois(tmp_path / "a.geojson")
    assert rectangle.bounds == Region(10, 20, 50, 30)
    assert rectangle.outline == ((10, 20), (60, 20), (60, 50), (10, 50))
    assert len(polygon.outline) == 3
    around = ellipse.bounds
    assert (around.x, around.y, around.width, around.height) == pytest.approx((10, 20, 50, 30))
    assert len(ellipse.outline) > 50


def same(one: Roi, other: Roi) -> bool:
    """Up to napari's float32."""
    rings = zip((r for p in one.parts for r in p), (r for p in other.parts for r in p), strict=True)
    return (
        all(np.allclose(a, b, atol=1e-4) for a, b in rings)
        and [len(part) for part in one.parts] == [len(part) for part in other.parts]
        and (one.name, one.classification, one.colour)
        == (other.name, other.classification, other.colour)
    )


def test_there_and_back_again(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, tmp_path: Path, messages: list[str]
) -> None:
    viewer, dock = enhance_dock(ome)
    inner = tuple((x / 2 + 15, y / 2 + 15) for x, y in SQUARE)
    far = tuple((x + 200, y + 100) for x, y in SQUARE)
    rois = [
        Roi(SQUARE, "field 1", "Tumor", (200, 0, 0)),
        Roi(SQUARE[:3]),
        Roi(SQUARE, "ring", holes=(inner,)),
        Roi(SQUARE, "two places", others=((far, far[:3]),)),
    ]
    write_rois(tmp_path / "a.geojson", rois)
    dock.result.import_rois(tmp_path / "a.geojson")
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=10000)
    assert messages[-1] == "Read: 4 regions"
    shapes = viewer.layers[1]
    assert shapes.name == "a"
    assert shapes.nshapes == 7  # holes and the parts of a region are seen, too
    assert shapes.units == viewer.layers[0].units
    assert list(shapes.features["classification"].iloc[:1]) == ["Tumor"]
    named = ["field 1", "", "ring", "", "two places", "", ""]
    assert list(shapes.text.values) == named
    shapes.add(CORNERS, shape_type="rectangle")
    assert list(shapes.text.values) == [*named, ""]
    dock.result.export_rois(tmp_path / "b.geojson")
    *back, drawn = read_rois(tmp_path / "b.geojson")
    for roi, found in zip(rois, back, strict=True):
        assert same(roi, found)
    assert (drawn.name, drawn.classification) == (None, None)  # not the last one's
    assert drawn.bounds == Region(10, 20, 50, 30)
    assert json.loads((tmp_path / "b.geojson").read_text())["type"] == "FeatureCollection"


def test_outlines_are_as_wide_at_every_zoom(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, tmp_path: Path
) -> None:
    viewer, dock = enhance_dock(ome, show=True)
    viewer.layers[0].visible = False
    write_rois(tmp_path / "a.geojson", [Roi(((200, 150), (500, 150), (500, 400), (200, 400)))])
    dock.result.import_rois(tmp_path / "a.geojson")
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=10000)
    shapes = viewer.layers[1]
    shapes.selected_data = set()

    def widths() -> list[int]:
        """Of the left edge, on the screen."""
        picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
        row = picture[picture.shape[0] // 2 + 10].astype(int)
        runs = np.flatnonzero(np.diff((row.sum(axis=1) > 150).astype(int)))
        return [int(end - start) for start, end in zip(runs[::2], runs[1::2], strict=False)]

    viewer.scene.camera.center = (0, 275 * 0.25, 200 * 0.25)
    for zoom in (0.6, 3.0, 12.0):
        viewer.scene.camera.zoom = zoom
        qtbot.wait(400)
        assert widths()
        assert all(1 <= width <= 4 for width in widths())
        assert shapes.edge_width[0] == pytest.approx(2.0 / (zoom * 0.25), rel=0.06)


def test_regions_stay_on_a_slide_whose_pixel_size_is_set(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, tmp_path: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    write_rois(tmp_path / "a.geojson", [Roi(SQUARE)])
    dock.result.import_rois(tmp_path / "a.geojson")
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=10000)
    slide_layer = viewer.layers[0]
    replace_in(viewer, slide_layer, reopened(slide_of(slide_layer), mpp=0.5, icc=True))
    dock.result.export_rois(tmp_path / "b.geojson")
    assert same(read_rois(tmp_path / "b.geojson")[0], Roi(SQUARE))


def test_pixels_are_the_slide_s_below_an_opened_result(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, models: Path, tmp_path: Path
) -> None:
    with open_slide(ome) as slide:
        made = enhance(slide, (100, 60, 200, 150), model=models / "tiny-x2.safetensors")
    save_image(tmp_path / "a.ome.tif", made.image, made.provenance, made.mpp)
    viewer, dock = enhance_dock(ome)
    viewer.open(tmp_path / "a.ome.tif", plugin="napari-cwtnet")  # the topmost slide now
    write_rois(tmp_path / "a.geojson", [Roi(SQUARE)])
    dock.result.import_rois(tmp_path / "a.geojson")
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=10000)
    assert np.allclose(viewer.layers[0].world_to_data(viewer.layers[2].data_to_world((0, 0))), 0)
    dock.result.export_rois(tmp_path / "b.geojson")
    assert np.allclose(read_rois(tmp_path / "b.geojson")[0].outline, SQUARE, atol=1e-4)


def test_an_imported_roi_is_enhanced_where_it_is(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, tmp_path: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    write_rois(tmp_path / "a.geojson", [Roi(((40.0, 30.0), (100.0, 30.0), (100.0, 80.0)))])
    dock.result.import_rois(tmp_path / "a.geojson")
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=10000)
    finish(qtbot, dock, dock.enhance_rois)
    assert "--region 40,30,60,50 " in dock.result.copy_command()
    assert results(viewer)[0].data.shape == (100, 120, 4)


def test_what_cannot_be_read_or_written_is_said(
    enhance_dock: Callable[..., Any],
    qtbot: Any,
    ome: Path,
    tmp_path: Path,
    messages: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    viewer, dock = enhance_dock(ome)
    dock.result.export_rois(tmp_path / "a.geojson")
    assert messages[-1] == "There is no area to export; draw one in a Shapes layer first."
    (tmp_path / "bad.geojson").write_text("{")
    dock.result.import_rois(tmp_path / "bad.geojson")
    qtbot.waitUntil(lambda: "is no JSON" in messages[-1], timeout=10000)
    from napari_cwtnet.plugin.viewer import rois

    monkeypatch.setattr(rois, "MOST", 1)
    write_rois(tmp_path / "many.geojson", [Roi(SQUARE)] * 2)
    dock.result.import_rois(tmp_path / "many.geojson")
    qtbot.waitUntil(lambda: "2 polygons, more than the 1" in messages[-1], timeout=10000)
    assert len(viewer.layers) == 1
    assert not (tmp_path / "a.geojson").exists()


def test_only_new_layers_of_napari_s_names_are_called_rois(
    make_napari_viewer: Callable[..., Any], ome: Path
) -> None:
    viewer = make_napari_viewer()
    viewer.window.add_plugin_dock_widget("napari-cwtnet", "Enhance")
    viewer.add_shapes(name="Shapes")
    assert viewer.layers[-1].name == "Shapes"  # no slide is open
    viewer.open(ome, plugin="napari-cwtnet")
    slide = viewer.layers[-1]
    for name in ("Shapes for counting", f"{slide.name} - Shapes of mine", "Nobody - Shapes"):
        viewer.add_shapes(name=name)
        layer = viewer.layers[-1]
        assert layer.name == name
        assert layer.current_face_color != "transparent"
    for active in (None, slide, slide):
        viewer.layers.selection.active = active
        new_shapes(viewer)
        assert viewer.layers[-1].name.startswith("ROIs")
    assert viewer.layers["Shapes for counting"]


def test_a_new_layer_of_shapes_is_called_rois_and_hides_nothing(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 8
    finish(qtbot, dock)
    (result,) = results(viewer)
    viewer.layers.selection.active = result
    new_shapes(viewer)  # as napari's button does
    shapes = viewer.layers[-1]
    assert shapes.name == "ROIs"
    shapes.add_rectangles(CORNERS)
    assert shapes.face_color[0, 3] == 0
    assert shapes.edge_color[0, 3] == 1
    assert shapes.edge_width[0] * viewer.scene.camera.zoom * shapes.scale[0] < 5
    new_shapes(viewer)
    assert viewer.layers[-1].name == "ROIs [1]"
    viewer.add_shapes([CORNERS], name="mine", face_color="red")
    assert viewer.layers["mine"].face_color[0, 0] == 1
