"""Where the camera looks, in level-0 pixels, and where a computed image belongs in the world.

A layer's data coordinate ``k`` is the *centre* of its level-0 pixel ``k``, while regions count
from pixel edges: hence the halves. Computed from camera and canvas, for a multiscale layer's
``corner_pixels`` are those of its level, widened to whole chunks.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.geometry import Region
from napari_cwtnet.plugin.viewer.slide_layer import slide_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer


Floats = NDArray[np.float64]


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


def screen_pixel(viewer: ViewerModel, layer: Image) -> float:
    """Level-0 pixels per screen pixel, the larger of both directions.

    A screen pixel is napari's: on a screen of high density it is several physical ones, and napari
    does not say how many.
    """
    per_world = 1 / (viewer.scene.camera.zoom * np.abs(_pixel_in_world(viewer, layer)))
    return float(per_world.max())


def zoom_for(viewer: ViewerModel, layer: Image, pixel: float) -> float:
    """The camera zoom at which `screen_pixel` is ``pixel`` level-0 pixels."""
    return float((1 / (pixel * np.abs(_pixel_in_world(viewer, layer)))).max())


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


def result_transform(
    layer: Image, region: Region, output_downsample: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Scale and translate (y, x) that lay an image of a region exactly over its slide.

    Parameters
    ----------
    layer : Image
        The slide's.
    region : Region
        What the image covers, level-0 pixels.
    output_downsample : float
        Level-0 pixels per pixel of the image.
    """
    pixel = np.asarray(layer.scale, float)[-2:]
    first = np.array([region.y, region.x]) - 0.5 + 0.5 * output_downsample
    translate = np.asarray(layer.translate, float)[-2:] + first * pixel
    scale = pixel * output_downsample
    return (float(scale[0]), float(scale[1])), (float(translate[0]), float(translate[1]))


def _corners_in_data(viewer: ViewerModel, layer: Image) -> Floats:
    camera = viewer.scene.camera
    half = np.asarray(viewer.canvas.viewbox_size(viewer.layers), float) / 2 / camera.zoom
    centre = np.asarray(camera.center, float)[-2:]
    units = _units_per_world(viewer, layer)
    corners = []
    for signs in itertools.product((-1, 1), repeat=2):
        world = np.zeros(layer.ndim)
        world[-2:] = (centre + np.array(signs) * half) * units
        corners.append(np.asarray(layer.world_to_data(world), float)[-2:])
    return np.array(corners)


def _pixel_in_world(viewer: ViewerModel, layer: Image) -> Floats:
    return np.asarray(layer.scale, float)[-2:] / _units_per_world(viewer, layer)


def _units_per_world(viewer: ViewerModel, layer: Layer) -> Floats:
    """How many of the layer's units one unit of the world is; layers may differ in theirs."""
    world = viewer.layers.extent.units
    if world is None:
        return np.ones(2)
    pairs = zip(world[-2:], layer.units[-2:], strict=True)
    return np.array([(1 * whole).to(own).magnitude for whole, own in pairs], float)


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
