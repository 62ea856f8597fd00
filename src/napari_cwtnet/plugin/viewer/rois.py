"""Shapes on a slide to regions of interest in level-0 pixels, and back."""

from __future__ import annotations

import re
import weakref
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.layers import Shapes
from qtpy.QtCore import QTimer

from napari_cwtnet.errors import RequestError
from napari_cwtnet.export import Roi
from napari_cwtnet.export.geojson import Part, Ring, ellipse
from napari_cwtnet.geometry import Region
from napari_cwtnet.plugin.viewer.canvas import real_viewer
from napari_cwtnet.plugin.viewer.slide_layer import lies_over, slide_of
from napari_cwtnet.plugin.viewer.viewport import box_on, lay_over, places_on, screen_pixel

MOST = 5000
"""Shapes that napari makes a layer of in two or three seconds."""

_AREAS = ("rectangle", "polygon", "ellipse")
_COLUMNS = ("name", "classification", "colour", "part", "ring")
"""Of a shape's features. ``part`` is the ROI's number and the polygon's, such as ``"3.0"``."""
_HOLE = "hole"
_INK = "#ffd400"
_NAME = "ROIs"
_OUTLINE = 2.0
"""Width on the screen, pixels."""
_OUTLINE_MS = 60
_MOST_NAMED = 200
"""Outlines that are named on the canvas; names of more would cover the tissue."""
_NAME_SIZE = 9
_EVEN = 0.05
"""Relative change of the zoom that no outline follows."""

_FOLLOWED: weakref.WeakSet[Any] = weakref.WeakSet()


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
    shapes, chosen = _selected(viewer)
    return _box(slide_layer, shapes, chosen) if chosen else None


def selected_rois(viewer: Any, slide_layer: Any) -> dict[str, Region]:
    """Bounding boxes, level-0 pixels, of each selected ROI by its name, in the layer's order.

    The same shapes as for `selected_roi`. Parts and holes of one imported ROI are one. A shape
    without a name is numbered by its place in the layer; names that are there twice are numbered,
    too.
    """
    shapes, chosen = _selected(viewer)
    members: dict[str, list[int]] = defaultdict(list)
    for index in chosen:
        part = _feature(shapes, index, "part")
        members[part.split(".")[0] if part else f"drawn {index}"].append(index)
    rois: dict[str, Region] = {}
    for indices in members.values():
        box = _box(slide_layer, shapes, indices)
        if box is None:
            continue
        name = given = _feature(shapes, indices[0], "name") or f"ROI {indices[0] + 1}"
        number = 1
        while name in rois:
            number += 1
            name = f"{given} ({number})"
        rois[name] = box
    return rois


def shapes_left_out(viewer: Any) -> int:
    """How many shapes there are beside those that are selected, in their layer."""
    shapes, chosen = _selected(viewer)
    return 0 if shapes is None else len(shapes.data) - len(chosen)


def _selected(viewer: Any) -> tuple[Any, list[int]]:
    """The layer with something selected, the active one first, and the numbers of its shapes."""
    active = viewer.layers.selection.active
    layers = [active] if isinstance(active, Shapes) else []
    layers += [one for one in reversed(viewer.layers) if isinstance(one, Shapes) and one.visible]
    for shapes in layers:
        chosen = sorted(shapes.selected_data) or ([0] if len(shapes.data) == 1 else [])
        if chosen:
            return shapes, chosen
    return None, []


def _box(slide_layer: Any, shapes: Any, indices: list[int]) -> Region | None:
    corners = [point for index in indices for point in shapes.data[index]]
    return box_on(slide_layer, shapes, corners)


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

    A hole is a polygon of its own, for napari's have none; `rois_of` puts it back.

    Raises
    ------
    RequestError
        If there are more than napari can show.
    """
    rings = list(_rings(rois))
    if len(rings) > MOST:
        raise RequestError(
            f"The file has {len(rings):,} polygons, more than the {MOST:,} that can be shown; "
            "export annotations alone, without detections."
        )
    shapes = Shapes(
        [np.array(ring)[:, ::-1] - 0.5 for _, ring, *_ in rings],
        shape_type="polygon",
        name=name,
        features={
            "name": [roi.name for roi, *_ in rings],
            "classification": [roi.classification for roi, *_ in rings],
            "colour": [_hex(roi.colour) for roi, *_ in rings],
            "part": [part for *_, part, _ in rings],
            "ring": [kind for *_, kind in rings],
        },
        feature_defaults=dict.fromkeys(_COLUMNS, ""),  # a shape that is drawn is none of these
        edge_color=[_hex(roi.colour) or _INK for roi, *_ in rings],
        face_color="transparent",
        text=_names(rings) if len(rings) <= _MOST_NAMED else None,
        metadata=lies_over(slide_layer),
    )
    lay_over(shapes, slide_layer, None, 1)
    shapes.current_edge_color = _INK
    return shapes


def outline_new_shapes(viewer: Any) -> None:
    """Draw new shapes as outlines that let the tissue be seen, in layers called ROIs, from now on.

    napari calls them after the layer that is selected, such as a result, and fills them. Layers
    that somebody gave a name, and those of a window without a slide, stay as they are.
    """
    viewer = real_viewer(viewer)
    if viewer in _FOLLOWED:
        return
    _FOLLOWED.add(viewer)
    known = weakref.ref(viewer)

    def added(event: Any) -> None:
        window, layer = known(), event.value
        new = isinstance(layer, Shapes) and not layer.nshapes
        if window is None or not new or not _is_named_by_napari(window, layer.name):
            return
        if not any(slide_of(one) is not None for one in window.layers):
            return
        layer.name = _NAME
        layer.current_face_color, layer.current_edge_color = "transparent", _INK
        keep_outlines(window, layer)

    viewer.layers.events.inserted.connect(added)


def _is_named_by_napari(viewer: Any, name: str) -> bool:
    """Whether its button for new shapes gives that name, numbered where it is taken."""
    if re.fullmatch(r"Shapes( \[\d+\])?", name):
        return True
    after = (re.escape(layer.name) for layer in viewer.layers)
    return any(re.fullmatch(rf"{layer} - Shapes( \d+)?", name) for layer in after)


def keep_outlines(viewer: Any, shapes: Shapes) -> None:
    """Draw outlines equally wide on the screen at every zoom, from now on."""
    shown, place, due = weakref.ref(viewer), weakref.ref(shapes), [False]
    zoomed = viewer.scene.camera.events.zoom

    def later(*_: Any) -> None:
        if place() is None:
            zoomed.disconnect(later)
        elif not due[0]:
            due[0] = True
            QTimer.singleShot(_OUTLINE_MS, draw)

    def draw() -> None:
        due[0] = False
        window, layer = shown(), place()
        if window is None or layer is None or layer not in window.layers:
            return
        width = _OUTLINE * screen_pixel(window, layer)
        if not layer.nshapes:
            layer.current_edge_width = width
        elif abs(layer.edge_width[0] / width - 1) > _EVEN:
            layer.edge_width = width
            layer.current_edge_width = width
            layer.refresh(extent=False, thumbnail=False, highlight=False)

    zoomed.connect(later)
    draw()


def _names(rings: list[tuple[Roi, Ring, str, str]]) -> dict[str, Any]:
    """Name or class of each ROI, once, in its colour; a shape that is drawn later has none."""
    firsts = {id(roi): index for index, (roi, *_) in reversed(list(enumerate(rings)))}
    return {
        "string": [
            (roi.name or roi.classification or "") if firsts[id(roi)] == index else ""
            for index, (roi, *_) in enumerate(rings)
        ],
        "color": [_hex(roi.colour) or _INK for roi, *_ in rings],
        "size": _NAME_SIZE,
        "anchor": "upper_left",
    }


def _rings(rois: list[Roi]) -> Iterator[tuple[Roi, Ring, str, str]]:
    """Every outline and hole: its ROI, its corners, its part, and which of both it is."""
    for number, roi in enumerate(rois):
        for index, part in enumerate(roi.parts):
            for ring in part:
                yield roi, ring, f"{number}.{index}", "outline" if ring is part[0] else _HOLE


def _rois(shapes: Any, slide_layer: Any) -> list[Roi]:
    outlines: dict[str, list[tuple[str, Ring, int]]] = defaultdict(list)
    holes: dict[str, list[Ring]] = defaultdict(list)
    place = places_on(slide_layer, shapes)
    for index, (kind, data) in enumerate(zip(shapes.shape_type, shapes.data, strict=True)):
        if kind not in _AREAS:
            continue
        corners = tuple((x, y) for x, y in place(data).tolist())
        ring = _ellipse(corners) if kind == "ellipse" else corners
        part = _feature(shapes, index, "part") or f"drawn {index}"
        if _feature(shapes, index, "ring") == _HOLE:
            holes[part].append(ring)
        else:
            outlines[part.split(".")[0]].append((part, ring, index))
    return [_roi(shapes, parts, holes) for parts in outlines.values()]


def _roi(shapes: Any, parts: list[tuple[str, Ring, int]], holes: dict[str, list[Ring]]) -> Roi:
    """One ROI of all its parts; a hole is the first one's that has its number."""
    first, *others = [(ring, *holes.pop(part, ())) for part, ring, _ in parts]
    name, classification, colour = (
        _feature(shapes, parts[0][2], column) for column in ("name", "classification", "colour")
    )
    further: tuple[Part, ...] = tuple(others)
    return Roi(first[0], name, classification, _rgb(colour), first[1:], further)


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
