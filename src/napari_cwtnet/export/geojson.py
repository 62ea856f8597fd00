"""Regions of interest as GeoJSON, in the form that QuPath reads and writes.

A FeatureCollection of annotations; coordinates are level-0 pixels, x to the right and y down, from
the upper left corner of the first pixel.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_cwtnet.errors import RequestError
from napari_cwtnet.files import written_whole
from napari_cwtnet.geometry import Region

Point = tuple[float, float]
Ring = tuple[Point, ...]

_ELLIPSE_CORNERS = 96
_REMEDY = "export it again from QuPath as GeoJSON, or from here"


@dataclass(frozen=True, slots=True)
class Roi:
    """A polygon on a slide.

    Parameters
    ----------
    outline : tuple of (x, y)
        Level-0 pixels; three corners or more, the first one not repeated.
    name, classification : str, optional
        As people gave them.
    colour : (red, green, blue), optional
        Of the classification, 0..255.
    holes : tuple of rings, optional
        Parts that are left out.
    """

    outline: Ring
    name: str | None = None
    classification: str | None = None
    colour: tuple[int, int, int] | None = None
    holes: tuple[Ring, ...] = ()

    @property
    def bounds(self) -> Region:
        """The rectangle around it.

        Raises
        ------
        RequestError
            If it has no area.
        """
        xs, ys = ([point[axis] for point in self.outline] for axis in (0, 1))
        return Region(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


def ellipse(centre: Point, first: Point, second: Point) -> Ring:
    """The outline of an ellipse, from its centre and the ends of two conjugate half axes."""
    (x, y), (ax, ay), (bx, by) = centre, first, second
    turns = [2 * math.pi * corner / _ELLIPSE_CORNERS for corner in range(_ELLIPSE_CORNERS)]
    return tuple(
        (
            x + (ax - x) * math.cos(turn) + (bx - x) * math.sin(turn),
            y + (ay - y) * math.cos(turn) + (by - y) * math.sin(turn),
        )
        for turn in turns
    )


def write_rois(path: Path, rois: Sequence[Roi]) -> None:
    """Write polygons as QuPath's annotations.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    collection = {"type": "FeatureCollection", "features": [_feature(roi) for roi in rois]}
    with written_whole(path) as partial:
        partial.write_text(json.dumps(collection, ensure_ascii=False, indent=1), encoding="utf-8")


def read_rois(path: Path) -> list[Roi]:
    """The polygons of a GeoJSON file; of its points and lines, which have no area, none.

    A MultiPolygon gives one polygon for each of its parts. Plain Features, geometries and lists of
    Features are understood too.

    Raises
    ------
    RequestError
        If the file cannot be read, is no GeoJSON, or has no polygon.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RequestError(
            f"GeoJSON {path.name!r} cannot be read: {error.strerror}; check the path."
        ) from error
    except ValueError as error:
        raise RequestError(f"File {path.name!r} is no JSON ({error}); {_REMEDY}.") from error
    kinds: set[str] = set()
    try:
        rois = [roi for feature in _features(content) for roi in _polygons(feature, kinds)]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise RequestError(
            f"File {path.name!r} is no GeoJSON of annotations ({reason}); {_REMEDY}."
        ) from error
    if not rois:
        found = f"only {', '.join(sorted(kinds))}" if kinds else "nothing"
        raise RequestError(f"GeoJSON {path.name!r} has no polygon but {found}; draw an area.")
    return rois


def _feature(roi: Roi) -> dict[str, Any]:
    properties: dict[str, Any] = {"objectType": "annotation", "isLocked": False, "measurements": {}}
    if roi.name is not None:
        properties["name"] = roi.name
    if roi.classification is not None:
        properties["classification"] = {"name": roi.classification}
        if roi.colour is not None:
            properties["classification"]["color"] = list(roi.colour)
    elif roi.colour is not None:
        properties["color"] = list(roi.colour)
    rings = [[list(point) for point in (*ring, ring[0])] for ring in (roi.outline, *roi.holes)]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": rings},
        "properties": properties,
    }


def _features(content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, list):
        for item in content:
            yield from _features(item)
    elif content["type"] == "FeatureCollection":
        yield from _features(content["features"])
    elif content["type"] == "Feature":
        yield content
    else:
        yield {"geometry": content, "properties": {}}


def _polygons(feature: dict[str, Any], kinds: set[str]) -> Iterator[Roi]:
    geometry, properties = feature["geometry"], feature.get("properties") or {}
    kind = geometry["type"]
    if kind not in {"Polygon", "MultiPolygon"}:
        kinds.add(str(kind))
        return
    coordinates = geometry["coordinates"]
    classification = properties.get("classification") or {}
    colour = _colour(classification) or _colour(properties)
    for rings in coordinates if kind == "MultiPolygon" else [coordinates]:
        outline, *holes = (_ring(ring) for ring in rings)
        yield Roi(outline, properties.get("name"), _name(classification), colour, tuple(holes))


def _ring(ring: Any) -> Ring:
    points = [(float(x), float(y)) for x, y, *_ in ring]
    if len(points) > 1 and points[0] == points[-1]:
        points.pop()
    if len(points) < 3 or not all(math.isfinite(v) for point in points for v in point):
        raise ValueError(f"a polygon of {len(points)} corners")
    return tuple(points)


def _name(classification: dict[str, Any]) -> str | None:
    """QuPath 0.4 and later may give the parts of a derived class as a list."""
    names = classification.get("names")
    return ": ".join(names) if names else classification.get("name")


def _colour(properties: dict[str, Any]) -> tuple[int, int, int] | None:
    if properties.get("color"):
        red, green, blue = (int(value) for value in properties["color"][:3])
        return red, green, blue
    packed = properties.get("colorRGB")  # QuPath 0.2: a signed number of 0xAARRGGBB
    if packed is None:
        return None
    return int(packed) >> 16 & 255, int(packed) >> 8 & 255, int(packed) & 255
