"""Shapes to GeoJSON and back, in place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cwtnet.enhancement import enhance
from napari_cwtnet.export import Roi, read_rois, save_image, write_rois
from napari_cwtnet.geometry import Region
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
    assert messages == ["Written: a.geojson, 3 polygons"]
    rectangle, ellipse, polygon = read_rois(tmp_path / "a.geojson")
    assert rectangle.bounds == Region(10, 20, 50, 30)
    assert rectangle.outline == ((10, 20), (60, 20), (60, 50), (10, 50))
    assert len(polygon.outline) == 3
    around = ellipse.bounds
    assert (around.x, around.y, around.width, around.height) == pytest.approx((10, 20, 50, 30))
    assert len(ellipse.outline) > 50


def test_there_and_back_again(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, tmp_path: Path, messages: list[str]
) -> None:
    viewer, dock = enhance_dock(ome)
    rois = [Roi(SQUARE, "field 1", "Tumor", (200, 0, 0)), Roi(SQUARE[:3])]
    write_rois(tmp_path / "a.geojson", [*rois, Roi(SQUARE, holes=(SQUARE[:3],))])
    dock.result.import_rois(tmp_path / "a.geojson")
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=10000)
    assert "1 with holes" in messages[-1]
    shapes = viewer.layers[1]
    assert shapes.name == "a"
    assert shapes.units == viewer.layers[0].units
    assert list(shapes.features["classification"].iloc[:1]) == ["Tumor"]
    dock.result.export_rois(tmp_path / "b.geojson")
    back = read_rois(tmp_path / "b.geojson")
    for roi, found in zip(rois, back[:2], strict=True):
        assert np.allclose(found.outline, roi.outline, atol=1e-4)  # napari keeps float32
        assert (found.name, found.classification, found.colour) == (
            roi.name, roi.classification, roi.colour,
        )  # fmt: skip
    assert json.loads((tmp_path / "b.geojson").read_text())["type"] == "FeatureCollection"


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
    finish(qtbot, dock, dock.enhance_roi)
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
