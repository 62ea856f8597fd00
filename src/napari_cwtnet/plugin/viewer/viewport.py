"""Between layers, level-0 pixels and the world: where the camera looks, where a layer belongs.

Everything goes through a layer's whole transform: scale, rotation, shear, translation and affine.
A layer's data coordinate ``k`` is the *centre* of its level-0 pixel ``k``, while regions count
from pixel edges: hence the halves. Computed from camera and canvas, for a multiscale layer's
``corner_pixels`` are those of its level, widened to whole chunks.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.transforms import Affine
from numpy.typing import NDArray

from napari_cwtnet.geometry import Region
from napari_cwtnet.plugin.viewer.canvas import real_viewer
from napari_cwtnet.plugin.viewer.slide_layer import slide_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer


Floats = NDArray[np.float64]
_LEVER = 2.0**16
"""Pixels; as long as a slide, so that directions are as exact as places."""


def visible_region(viewer: ViewerModel, layer: Image) -> Region | None:
    """The part of a slide that the canvas shows.

    Parameters
    ----------
    viewer : ViewerModel
        Its camera and canvas count, not whether it is on a screen.
    layer : Image
        The slide's layer, or any image whose first level is level 0.

    Returns
    -------
    Region or None
        Level-0 pixels, clipped to the slide; None where it is out of sight or shown in 3D.
    """
    if viewer.dims.ndisplay != 2:
        return None
    corners = _corners_in_data(viewer, layer) + 0.5
    (top, left), (bottom, right) = corners.min(axis=0), corners.max(axis=0)
    if not (bottom > top and right > left):
        return None
    return Region(left, top, right - left, bottom - top).intersection(_bounds(layer))


def is_in_view(viewer: ViewerModel, layer: Layer) -> bool:
    """Whether the canvas shows some of a layer's extent; taken to be so in 3D."""
    if viewer.dims.ndisplay != 2:
        return True
    corners = _corners_in_data(viewer, layer)
    first, last = np.asarray(layer.extent.data, float)[:, -2:]
    return bool(
        (corners.max(axis=0) > first - 0.5).all() and (corners.min(axis=0) < last + 0.5).all()
    )


def screen_pixel(viewer: ViewerModel, layer: Image) -> float:
    """Level-0 pixels per screen pixel, the larger of both directions.

    A screen pixel is napari's: on a screen of high density it is several physical ones, and napari
    does not say how many.
    """
    return float((1 / (viewer.scene.camera.zoom * _pixel_in_world(viewer, layer))).max())


def zoom_for(viewer: ViewerModel, layer: Image, pixel: float) -> float:
    """The camera zoom at which `screen_pixel` is ``pixel`` level-0 pixels."""
    return float((1 / (pixel * _pixel_in_world(viewer, layer))).max())


def world_centre(viewer: ViewerModel, layer: Image, x: float, y: float) -> tuple[float, float]:
    """Where the camera has to be (y, x) to look at a place in level-0 pixels."""
    point = np.zeros(layer.ndim)
    point[-2:] = y - 0.5, x - 0.5
    world = np.asarray(layer.data_to_world(point), float)[-2:] / _units_per_world(viewer, layer)
    return float(world[0]), float(world[1])


def place_at(viewer: ViewerModel, layer: Image, position: tuple[float, ...]) -> tuple[float, float]:
    """Level-0 place (x, y) of a position in the world, such as a mouse event has."""
    world = np.zeros(layer.ndim)
    world[-2:] = np.asarray(position, float)[-2:] * _units_per_world(viewer, layer)
    y, x = np.asarray(layer.world_to_data(world), float)[-2:] + 0.5
    return float(x), float(y)


_TRANSFORM = ("scale", "translate", "rotate", "shear", "affine", "units")


def follow_transform(layer: Layer, call: Callable[..., object]) -> None:
    """Call whenever a layer is placed otherwise."""
    for name in _TRANSFORM:
        getattr(layer.events, name).connect(call)


def leave_transform(layer: Layer, call: Callable[..., object]) -> None:
    """End :func:`follow_transform`."""
    for name in _TRANSFORM:
        getattr(layer.events, name).disconnect(call)


def lay_over(layer: Layer, slide_layer: Image, region: Region | None, downsample: float) -> None:
    """Place a layer exactly over a slide.

    Parameters
    ----------
    layer : Layer
        Any, with or without a viewer.
    slide_layer : Image
        The slide's.
    region : Region or None
        What an image covers, level-0 pixels; None for a layer whose data are the slide's.
    downsample : float
        Level-0 pixels per pixel of the image.
    """
    scale, translate = result_transform(slide_layer, region, downsample)
    placed = {"units": slide_layer.units[-2:], "scale": scale, "translate": translate}
    placed |= {name: getattr(slide_layer, name) for name in ("rotate", "shear", "affine")}
    for name, value in placed.items():
        if not np.array_equal(np.asarray(getattr(layer, name)), np.asarray(value)):
            setattr(layer, name, value)  # napari slices the layer again each time


def result_transform(
    layer: Image, region: Region | None, output_downsample: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Scale and translate (y, x) of an image over its slide, whose rotation and affine it shares.

    Parameters
    ----------
    layer : Image
        The slide's.
    region : Region or None
        What the image covers, level-0 pixels; None for the slide's own data.
    output_downsample : float
        Level-0 pixels per pixel of the image.
    """
    scale = np.asarray(layer.scale, float)[-2:]
    first = np.zeros(2)
    if region is not None:
        first = np.array([region.y, region.x]) - 0.5 + 0.5 * output_downsample
    physical = Affine(
        scale=scale, translate=layer.translate[-2:], rotate=layer.rotate, shear=layer.shear
    )
    y, x = np.asarray(physical(first), float)
    scale = scale * output_downsample
    return (float(scale[0]), float(scale[1])), (float(y), float(x))


def places_on(slide_layer: Image, other: Layer) -> Callable[[Floats], Floats]:
    """From rows (y, x) of another layer's data to level-0 places (x, y).

    napari takes its time over each point, and one at a time, so three of them give the rest.
    """

    def place(*point: float) -> Floats:
        whole = np.zeros(other.ndim)
        whole[-2:] = point
        return np.asarray(slide_layer.world_to_data(other.data_to_world(whole)), float)[-2:]

    origin = place(0, 0)
    axes = np.array([(place(*end) - origin) / _LEVER for end in ((_LEVER, 0), (0, _LEVER))])
    return lambda rows: (np.asarray(rows, float)[:, -2:] @ axes + origin + 0.5)[:, ::-1]


def box_on(slide_layer: Image, other: Layer, rows: Any) -> Region | None:
    """Bounding box, level-0 pixels, of points of another layer's data; None if it has no area."""
    places = places_on(slide_layer, other)(np.asarray(rows, float))
    (left, top), (right, bottom) = places.min(axis=0).tolist(), places.max(axis=0).tolist()
    if min(right - left, bottom - top) <= 0:
        return None
    return Region(left, top, right - left, bottom - top)


def _corners_in_data(viewer: ViewerModel, layer: Layer) -> Floats:
    viewer, layer = real_viewer(viewer), real_viewer(layer)  # a proxy checks every word
    camera = viewer.scene.camera
    half = np.asarray(viewer.canvas.viewbox_size(viewer.layers), float) / 2 / camera.zoom
    centre = np.asarray(camera.center, float)[-2:]
    units = _units_per_world(viewer, layer)
    to_data, world = layer.world_to_data, np.zeros(layer.ndim)
    corners = []
    for signs in itertools.product((-1, 1), repeat=2):
        world[-2:] = (centre + np.array(signs) * half) * units
        corners.append(np.asarray(to_data(world), float)[-2:])
    return np.array(corners)


def _pixel_in_world(viewer: ViewerModel, layer: Image) -> Floats:
    """Sides of a level-0 pixel in the world."""
    viewer, layer = real_viewer(viewer), real_viewer(layer)
    to_world, corners = layer.data_to_world, np.zeros((3, layer.ndim))
    corners[1, -2] = corners[2, -1] = 1
    world = np.array([np.asarray(to_world(corner), float)[-2:] for corner in corners])
    sides = (world[1:] - world[0]) / _units_per_world(viewer, layer)
    return np.asarray(np.hypot(sides[:, 0], sides[:, 1]), float)


def _units_per_world(viewer: ViewerModel, layer: Layer) -> Floats:
    """How many of the layer's units one unit of the world is; layers may differ in theirs."""
    world = viewer.layers.extent.units
    if world is None:
        return np.ones(2)
    pairs = zip(world[-2:], layer.units[-2:], strict=True)
    return np.array([_ratio(whole, own) for whole, own in pairs])


@functools.lru_cache(maxsize=64)
def _ratio(whole: Any, own: Any) -> float:
    return float((1 * whole).to(own).magnitude)


def _bounds(layer: Image) -> Region:
    slide = slide_of(layer)
    if slide is not None:
        return slide.bounds
    shape = layer.level_shapes[0] if layer.multiscale else layer.data.shape
    height, width = (int(length) for length in shape[layer.ndim - 2 : layer.ndim])
    return Region(0, 0, width, height)


def look_at(viewer: ViewerModel, layer: Image, x: float, y: float) -> None:
    """Centre the view on a place in level-0 pixels."""
    camera = viewer.scene.camera
    camera.center = (*camera.center[:-2], *world_centre(viewer, layer, x, y))


def zoom_to(viewer: ViewerModel, layer: Image, pixel: float) -> None:
    """Zoom so that one screen pixel is ``pixel`` level-0 pixels; the centre stays."""
    viewer.scene.camera.zoom = zoom_for(viewer, layer, pixel)
