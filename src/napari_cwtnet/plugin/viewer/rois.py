"""Shapes on a slide to regions of interest in level-0 pixels, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Shapes

from napari_cwtnet.errors import RequestError
from napari_cwtnet.export import Roi
from napari_cwtnet.export.geojson import Ring, ellipse

MOST = 5000
"""Shapes that napari makes a layer of in two or three seconds."""

_AREAS = ("rectangle", "polygon", "ellipse")
_COLUMNS = ("name", "classification", "colour")
_INK = "#ffd400"
_LEVER = 2.0**16
"""Pixels; as long as a slide, so that directions are as exact as places."""


def shown_shapes(viewer: Any) -> list[Any]:
    """The active layer, if it is one of shapes, else every visible one."""
    active = viewer.layers.selection.active
    if isinstance(active, Shapes):
        return [active]
    return [layer for layer in viewer.layers if isinstance(layer, Shapes) and layer.visible]


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
    return Shapes(
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
        scale=slide_layer.scale[-2:],
        translate=slide_layer.translate[-2:],
        units=slide_layer.units[-2:],
    )


def _rois(shapes: Any, slide_layer: Any) -> list[Roi]:
    found = []
    matrix, origin = _to_slide(shapes, slide_layer)
    for index, (kind, data) in enumerate(zip(shapes.shape_type, shapes.data, strict=True)):
        if kind not in _AREAS:
            continue
        places = np.asarray(data, float)[:, -2:] @ matrix + origin
        corners = tuple((x + 0.5, y + 0.5) for y, x in places.tolist())  # from pixel centres
        outline = _ellipse(corners) if kind == "ellipse" else corners
        name, classification, colour = (_feature(shapes, index, column) for column in _COLUMNS)
        found.append(Roi(outline, name, classification, _rgb(colour)))
    return found


def _to_slide(shapes: Any, slide_layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and shift of rows (y, x): napari takes its time over each point, and one at a time."""

    def place(*point: float) -> np.ndarray:
        whole = np.zeros(shapes.ndim)
        whole[-2:] = point
        return np.asarray(slide_layer.world_to_data(shapes.data_to_world(whole)), float)[-2:]

    origin = place(0, 0)
    axes = [(place(*end) - origin) / _LEVER for end in ((_LEVER, 0), (0, _LEVER))]
    return np.array(axes), origin


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
