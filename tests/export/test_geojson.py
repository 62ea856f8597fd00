"""Regions of interest to QuPath and back."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cwtnet.errors import OutputError, RequestError
from napari_cwtnet.export.geojson import Roi, ellipse, read_rois, write_rois
from napari_cwtnet.geometry import Region

SQUARE = ((10.0, 20.0), (30.0, 20.0), (30.0, 40.5), (10.0, 40.5))
numbers = st.floats(-1e7, 1e7)
rings = st.lists(st.tuples(numbers, numbers), min_size=3, max_size=6, unique=True).map(tuple)
rois = st.builds(
    Roi,
    outline=rings,
    name=st.none() | st.text(),
    classification=st.none() | st.text(min_size=1),
    colour=st.none() | st.tuples(*[st.integers(0, 255)] * 3),
    holes=st.lists(rings, max_size=2).map(tuple),
    others=st.lists(st.lists(rings, min_size=1, max_size=2).map(tuple), max_size=2).map(tuple),
)


@given(st.lists(rois, min_size=1, max_size=4))
def test_read_back_exactly(tmp_path_factory: pytest.TempPathFactory, many: list[Roi]) -> None:
    path = tmp_path_factory.mktemp("rois") / "a.geojson"
    write_rois(path, many)
    assert read_rois(path) == many


def test_is_the_form_that_qupath_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    write_rois(path, [Roi(SQUARE, "field 1", "Tumor", (200, 0, 0))])
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["type"] == "FeatureCollection"
    (feature,) = found["features"]
    assert feature["geometry"]["type"] == "Polygon"
    (ring,) = feature["geometry"]["coordinates"]
    assert ring[0] == ring[-1] == [10, 20]
    assert len(ring) == 5
    assert feature["properties"] == {
        "objectType": "annotation",
        "isLocked": False,
        "measurements": {},
        "name": "field 1",
        "classification": {"name": "Tumor", "color": [200, 0, 0]},
    }


def test_what_qupath_writes(tmp_path: Path) -> None:
    ring = [*map(list, SQUARE), [10, 20]]
    properties = {"objectType": "annotation", "classification": {"names": ["Tumor", "Positive"]}}
    polygon = {"type": "Polygon", "coordinates": [ring]}
    parts = {"type": "MultiPolygon", "coordinates": [[ring], [[[0, 0], [9, 0], [9, 9], [0, 0]]]]}
    point = {"type": "Point", "coordinates": [1, 2]}
    old = {"name": "old", "classification": {"name": "Stroma", "colorRGB": -3670016}}
    path = tmp_path / "a.geojson"
    features = [
        {"type": "Feature", "geometry": polygon, "properties": properties},
        {"type": "Feature", "geometry": parts, "properties": old},
        {"type": "Feature", "geometry": point, "properties": {}},
    ]
    path.write_text(json.dumps(features))
    first, second = read_rois(path)
    assert first == Roi(SQUARE, classification="Tumor: Positive")
    assert first.bounds == Region(10, 20, 20, 20.5)
    assert (second.name, second.classification, second.colour) == ("old", "Stroma", (200, 0, 0))
    assert second.outline == SQUARE
    assert second.others == ((((0, 0), (9, 0), (9, 9)),),)  # one annotation of two polygons
    assert second.bounds == Region(0, 0, 30, 40.5)
    write_rois(path, [second])
    assert json.loads(path.read_text())["features"][0]["geometry"]["type"] == "MultiPolygon"
    path.write_text(json.dumps(polygon))
    assert read_rois(path) == [Roi(SQUARE)]


def test_collections_and_features_without_a_place(tmp_path: Path) -> None:
    polygon = {"type": "Polygon", "coordinates": [list(SQUARE)]}
    both = {"type": "GeometryCollection", "geometries": [{"type": "Point"}, polygon]}
    named = {"type": "Feature", "geometry": both, "properties": {"name": "a"}}
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps([{"type": "Feature", "geometry": None}, named]))
    assert read_rois(path) == [Roi(SQUARE, "a")]


@pytest.mark.parametrize(
    ("properties", "roi"),
    [
        (None, Roi(SQUARE)),
        ([1], Roi(SQUARE)),
        ({"name": 5, "classification": "Tumor"}, Roi(SQUARE, "5", "Tumor")),
        ({"name": {"a": 1}, "classification": ["a"]}, Roi(SQUARE)),
        ({"name": "\ud800", "classification": {"names": [1, None]}}, Roi(SQUARE, "?", "1")),
        ({"color": [300, 0, 0]}, Roi(SQUARE)),
        ({"color": "#ff0000", "classification": {"colorRGB": "x"}}, Roi(SQUARE)),
        ({"color": [1, 2]}, Roi(SQUARE)),
    ],
)
def test_what_other_programs_write_beside_a_polygon_harms_nothing(
    tmp_path: Path, properties: object, roi: Roi
) -> None:
    geometry = {"type": "Polygon", "coordinates": [list(SQUARE)]}
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "Feature", "geometry": geometry, "properties": properties}))
    assert read_rois(path) == [roi]
    write_rois(path, [roi])  # and can be written again


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "nothing"),
        ('{"type": "FeatureCollection"}', "'features'"),
        ('{"features": []}', "'type'"),
        ("7", "no GeoJSON of annotations"),
        ('{"type": "LineString", "coordinates": [[0, 0], [1, 1]]}', "only LineString"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}', "2 corners"),
        ('{"type": "Polygon", "coordinates": [[["a", 0], [1, 1], [2, 0]]]}', "'a'"),
        ('{"type": "Polygon", "coordinates": [[[NaN, 0], [1, 1], [2, 0]]]}', "a corner at nan"),
        ('{"type": "Polygon", "coordinates": [[[1e300, 0], [1, 1], [2, 0]]]}', "at 1e"),
        (f'{{"type": "Polygon", "coordinates": [[[{10**400}, 0], [1, 1], [2, 0]]]}}', "too large"),
        ("[" * 100_000, "is no JSON"),
        ('{"type": "Feature", "geometry": null}', "only no place"),
        ('{"type": "Polygon", "coordinates": []}', "not enough values"),
    ],
)
def test_anything_else_is_refused_in_words(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(content)
    with pytest.raises(RequestError, match=message) as caught:
        read_rois(path)
    assert "'a.geojson'" in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        read_rois(tmp_path / "a.geojson")
    with pytest.raises(OutputError, match="does not exist"):
        write_rois(tmp_path / "no" / "a.geojson", [Roi(SQUARE)])


def test_a_pipe_and_a_huge_file_are_refused_unread(tmp_path: Path) -> None:
    pipe, huge = tmp_path / "pipe.geojson", tmp_path / "huge.geojson"
    os.mkfifo(pipe)
    with huge.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(RequestError, match="is a folder or a device"):
        read_rois(pipe)
    with pytest.raises(RequestError, match="has 1,074 MB, more than 268"):
        read_rois(huge)


def test_an_ellipse_is_a_polygon_of_nearly_its_area() -> None:
    ring = ellipse((50.0, 60.0), (80.0, 60.0), (50.0, 70.0))
    area = 0.5 * sum(
        x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, (*ring[1:], ring[0]), strict=True)
    )
    assert area == pytest.approx(math.pi * 30 * 10, rel=1e-3)
    bounds = Roi(ring).bounds
    assert (bounds.x, bounds.y, bounds.width, bounds.height) == pytest.approx((20, 50, 60, 20))
