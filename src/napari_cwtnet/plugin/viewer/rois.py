"""Shapes on a slide to regions of interest in level-0 pixels, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Shapes

from napari_cwtnet.errors import RequestError
from napari_cwtnet.export import Roi
from napari_cwtnet.export.geojson import Ring, ellipse
from napari_cwtnet.geometry import Region
from napari_cwtnet.plugin.viewer.viewport import box_on, lay_over, places_on

MOST = 5000
"""Shapes that napari makes a layer of in two or three seconds."""

_AREAS = ("rectangle", "polygon", "ellipse")
_COLUMNS = ("name", "classification", "colour")
_INK = "#ffd400"


def shown_shapes(viewer: Any) -> list[Any]:
    """The active layer, if it is one of shapes, else every visible one."""
    active = viewer.layers.selection.active
    if isinstance(active, Shapes):
        return [active]
    return [layer for layer in viewer.layers if isinstance(layer, Shapes) and layer.visible]


def selected_roi(viewer: Any, slide_layer: Any) -> Region | None:
    """Bounding box, level-0 pixels, of what is selected in a Shapes layer, the active one first.

    A shapes layer with a single shape needs no selection.
    """
    active = viewer.layers.selection.active
    layers = [active] if isinstance(active, Shapes) else []
    layers += [one for one in reversed(viewer.layers) if isinstance(one, Shapes) and one.visible]
    for shapes in layers:
        chosen = sorted(shapes.selected_data) or ([0] if len(shapes.data) == 1 else [])
        corners = [point for index in chosen for point in shapes.data[index]]
        if corners:
            return box_on(slide_layer, shapes, corners)
    return None


def rois_of(viewer: Any, slide_layer: Any) -> list[Roi]:
    """Rectangles, polygons and ellipses of the shown shapes.

    Raises
    ------
    RequestError
        If there are none.
    """
    rois = [roi for shapes in shown_shapes(viewer) for roi in _rois(shapes, slide_layer)]
    if not rois:
        raise RequestError("There is no area to export; draw one in a Shapes layer first.")
    return rois


def shapes_layer(rois: list[Roi], slide_layer: Any, name: str) -> Shapes:
    """A layer of polygons over a slide, outlined, so that the tissue within is seen.

    Holes are not drawn: napari's polygons have none.

    Raises
    ------
    RequestError
        If there are more than napari can show.
    """
    if len(rois) > MOST:
        raise RequestError(
            f"The file has {len(rois):,} polygons, more than the {MOST:,} that can be shown; "
            "export annotations alone, without detections."
        )
    layer = Shapes(
        [np.array(roi.outline)[:, ::-1] - 0.5 for roi in rois],
        shape_type="polygon",
        name=name,
        features={
            "name": [roi.name for roi in rois],
            "classification": [roi.classification for roi in rois],
            "colour": [_hex(roi.colour) for roi in rois],
        },
        edge_color=[_hex(roi.colour) or _INK for roi in rois],
        face_color="transparent",
        edge_width=[_edge(roi) for roi in rois],
    )
    lay_over(layer, slide_layer, None, 1)
    return layer


def _rois(shapes: Any, slide_layer: Any) -> list[Roi]:
    found = []
    place = places_on(slide_layer, shapes)
    for index, (kind, data) in enumerate(zip(shapes.shape_type, shapes.data, strict=True)):
        if kind not in _AREAS:
            continue
        corners = tuple((x, y) for x, y in place(data).tolist())
        outline = _ellipse(corners) if kind == "ellipse" else corners
        name, classification, colour = (_feature(shapes, index, column) for column in _COLUMNS)
        found.append(Roi(outline, name, classification, _rgb(colour)))
    return found


def _ellipse(corners: Ring) -> Ring:
    """Of the corners of the (turned) rectangle that napari keeps."""
    points = np.array(corners)
    centre, first, second = points.mean(axis=0), points[:2].mean(axis=0), points[1:3].mean(axis=0)
    return ellipse(*((float(x), float(y)) for x, y in (centre, first, second)))


def _feature(shapes: Any, index: int, column: str) -> str | None:
    if column not in shapes.features:
        return None
    value = shapes.features[column].iloc[index]
    return value if isinstance(value, str) and value else None


def _hex(colour: tuple[int, int, int] | None) -> str | None:
    return None if colour is None else "#{:02x}{:02x}{:02x}".format(*colour)


def _rgb(colour: str | None) -> tuple[int, int, int] | None:
    try:
        red, green, blue = bytes.fromhex((colour or "").removeprefix("#"))
    except ValueError:
        return None
    return red, green, blue


def _edge(roi: Roi) -> float:
    """Level-0 pixels: a hundredth of the smaller side, to be seen as well as what is within."""
    xs, ys = zip(*roi.outline, strict=True)
    return max(1.0, min(max(xs) - min(xs), max(ys) - min(ys)) / 100)
