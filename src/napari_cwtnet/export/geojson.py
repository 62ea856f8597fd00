"""Regions of interest as GeoJSON, in the form that QuPath reads and writes.

A FeatureCollection of annotations; coordinates are level-0 pixels, x to the right and y down, from
the upper left corner of the first pixel, or of the scanned part where a slide states its bounds:
`Slide.origin`.
"""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_cwtnet.errors import RequestError
from napari_cwtnet.files import written_whole
from napari_cwtnet.geometry import Region

Point = tuple[float, float]
Ring = tuple[Point, ...]

_ELLIPSE_CORNERS = 96
_FARTHEST = 1e9
"""Level-0 pixels; no slide is a hundredth as large, and what draws them overflows far beyond."""
_REMEDY = "export it again from QuPath as GeoJSON, or from here"
_MOST_BYTES = 256 * 2**20
"""Parsing takes some ten times as much memory."""


Part = tuple[Ring, ...]
"""A polygon: its outline, then its holes."""


@dataclass(frozen=True, slots=True)
class Roi:
    """A region of interest on a slide: a polygon, or several that are one annotation.

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
    others : tuple of parts, optional
        Further polygons of the same annotation, each with its own holes.
    """

    outline: Ring
    name: str | None = None
    classification: str | None = None
    colour: tuple[int, int, int] | None = None
    holes: tuple[Ring, ...] = ()
    others: tuple[Part, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """All its polygons."""
        return ((self.outline, *self.holes), *self.others)

    @property
    def bounds(self) -> Region:
        """The rectangle around all of it.

        Raises
        ------
        RequestError
            If it has no area.
        """
        corners = [point for part in self.parts for point in part[0]]
        xs, ys = ([point[axis] for point in corners] for axis in (0, 1))
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


def write_rois(path: Path, rois: Sequence[Roi], origin: Point = (0, 0)) -> None:
    """Write polygons as QuPath's annotations.

    Parameters
    ----------
    path : Path
        The file.
    rois : sequence of Roi
        In level-0 pixels of the whole slide.
    origin : (x, y)
        The level-0 pixel that the file counts from.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    back = (-origin[0], -origin[1])
    features = [_feature(_moved(roi, back)) for roi in rois]
    collection = {"type": "FeatureCollection", "features": features}
    with written_whole(path) as partial:
        partial.write_text(json.dumps(collection, ensure_ascii=False, indent=1), encoding="utf-8")


def read_rois(path: Path, origin: Point = (0, 0)) -> list[Roi]:
    """The annotations of a GeoJSON file; points and lines, which have no area, are left out.

    A MultiPolygon is one annotation of several polygons. Plain Features, geometries, collections
    and lists of them are understood too. Names and colours that make no sense are left out.

    Parameters
    ----------
    path : Path
        The file.
    origin : (x, y)
        The level-0 pixel that the file counts from.

    Raises
    ------
    RequestError
        If the file cannot be read, is no GeoJSON, or has no polygon.
    """
    try:
        _check_file(path)
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RequestError(
            f"GeoJSON {path.name!r} cannot be read: {error.strerror}; check the path."
        ) from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"File {path.name!r} is no JSON ({error}); {_REMEDY}.") from error
    kinds: set[str] = set()
    try:
        rois = [
            _moved(roi, origin)
            for feature in _features(content)
            for roi in _polygons(feature, kinds)
        ]
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise RequestError(
            f"File {path.name!r} is no GeoJSON of annotations ({reason}); {_REMEDY}."
        ) from error
    if not rois:
        found = f"only {', '.join(sorted(kinds))}" if kinds else "nothing"
        raise RequestError(f"GeoJSON {path.name!r} has no polygon but {found}; draw an area.")
    return rois


def _check_file(path: Path) -> None:
    """Refuse what nobody would wait for: a pipe or device, and more text than fits in memory."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise RequestError(f"GeoJSON {path.name!r} is a folder or a device; {_REMEDY}.")
    if status.st_size > _MOST_BYTES:
        raise RequestError(
            f"GeoJSON {path.name!r} has {status.st_size / 1e6:,.0f} MB, more than "
            f"{_MOST_BYTES / 1e6:.0f}; export the annotations that you need, and no detections."
        )


def _moved(roi: Roi, by: Point) -> Roi:
    if not any(by):
        return roi
    first, *others = (
        tuple(tuple((x + by[0], y + by[1]) for x, y in ring) for ring in part) for part in roi.parts
    )
    return replace(roi, outline=first[0], holes=first[1:], others=tuple(others))


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
    parts = [[[list(point) for point in (*ring, ring[0])] for ring in part] for part in roi.parts]
    one = len(parts) == 1
    geometry = {
        "type": "Polygon" if one else "MultiPolygon",
        "coordinates": parts[0] if one else parts,
    }
    return {
        "type": "Feature",
        "geometry": geometry,
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
    geometry = feature["geometry"]
    kind = "no place" if geometry is None else geometry["type"]
    if kind == "GeometryCollection":
        for part in geometry["geometries"]:
            yield from _polygons({**feature, "geometry": part}, kinds)
        return
    if kind not in ("Polygon", "MultiPolygon"):
        kinds.add(str(kind))
        return
    coordinates = geometry["coordinates"]
    properties = _mapping(feature.get("properties"))
    given = properties.get("classification")
    classification = {"name": given} if isinstance(given, str) else _mapping(given)
    name, colour = _text(properties.get("name")), _colour(classification) or _colour(properties)
    parts = coordinates if kind == "MultiPolygon" else [coordinates]
    if not parts:
        kinds.add("an empty MultiPolygon")
        return
    first, *others = (tuple(_ring(ring) for ring in rings) for rings in parts)
    outline, *holes = first
    kind_of_tissue = _class_name(classification)
    yield Roi(outline, name, kind_of_tissue, colour, tuple(holes), tuple(others))


def _ring(ring: Any) -> Ring:
    points = [(float(x), float(y)) for x, y, *_ in ring]
    if len(points) > 1 and points[0] == points[-1]:
        points.pop()
    if len(points) < 3:
        raise ValueError(f"a polygon of {len(points)} corners")
    for point in points:
        if not all(abs(value) <= _FARTHEST for value in point):  # nor is NaN
            raise ValueError(f"a corner at {point[0]:g}, {point[1]:g}")
    return tuple(points)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    """A name; other programs number things, and JSON can hold halves of characters."""
    if not isinstance(value, str | int | float):
        return None
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _class_name(classification: dict[str, Any]) -> str | None:
    """QuPath 0.4 and later may give the parts of a derived class as a list."""
    names = classification.get("names")
    parts = [_text(name) for name in names] if isinstance(names, list) else []
    return ": ".join(part for part in parts if part) or _text(classification.get("name"))


def _colour(properties: dict[str, Any]) -> tuple[int, int, int] | None:
    colour, packed = properties.get("color"), properties.get("colorRGB")
    if colour is None and isinstance(packed, int):  # QuPath 0.2: a signed number of 0xAARRGGBB
        colour = [packed >> 16 & 255, packed >> 8 & 255, packed & 255]
    if not isinstance(colour, list) or len(colour) < 3:
        return None
    red, green, blue = colour[:3]
    known = all(isinstance(value, int) and 0 <= value <= 255 for value in (red, green, blue))
    return (red, green, blue) if known else None
