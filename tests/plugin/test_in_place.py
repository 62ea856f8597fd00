"""Results are hidden where the slide is finer; the badge is there with what is computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_cwtnet.plugin.viewer.badge import OVERLAY, keep_badge
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.in_place import EDGE
from napari_cwtnet.plugin.viewer.viewport import look_at, zoom_to
from plugin.enhance_help import finish, results


def badge_shown(viewer: Any) -> bool:
    return bool(viewer.canvas.overlays[OVERLAY].visible)


def test_a_coarse_result_gives_way_at_once_and_comes_back(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome, level=4.0)
    slide = viewer.layers[0]
    zoom_to(viewer, slide, 2.5)
    finish(qtbot, dock)
    (layer,) = results(viewer)
    assert layer.visible  # 2 level-0 pixels each, and the screen shows no finer ones
    zoom_to(viewer, slide, 1.5)
    assert not layer.visible
    assert not badge_shown(viewer)
    zoom_to(viewer, slide, 0.5)
    assert not layer.visible
    zoom_to(viewer, slide, 2.0)
    assert layer.visible
    assert badge_shown(viewer)
    zoom_to(viewer, slide, 0.5)
    layer.visible = True  # by its eye
    zoom_to(viewer, slide, 0.4)
    assert layer.visible
    layer.visible = False
    zoom_to(viewer, slide, 2.5)
    assert not layer.visible  # the user's own


def test_what_is_computed_where_the_slide_is_finer_is_said_to_be_hidden(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome, level=4.0)
    zoom_to(viewer, viewer.layers[0], 1.0)
    finish(qtbot, dock)
    (layer,) = results(viewer)
    assert not layer.visible
    assert "Hidden at this zoom" in dock.status
    dock.compare.buttons["split"].click()
    qtbot.waitUntil(lambda: layer.visible, timeout=5000)
    zoom_to(viewer, viewer.layers[0], 0.8)
    assert layer.visible  # it is compared
    dock.compare.buttons["split"].click()
    qtbot.waitUntil(lambda: not layer.visible, timeout=5000)


def test_a_result_finer_than_the_slide_stays_at_every_zoom(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    for pixel in (0.5, 0.1, 4.0):
        zoom_to(viewer, viewer.layers[0], pixel)
        if pixel == 0.5:
            finish(qtbot, dock)
        (layer,) = results(viewer)
        assert layer.visible


def test_the_badge_is_there_only_while_something_computed_is_in_view(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    slide = viewer.layers[0]
    zoom_to(viewer, slide, 0.2)
    look_at(viewer, slide, 100, 100)
    finish(qtbot, dock)
    assert badge_shown(viewer)
    look_at(viewer, slide, 400, 300)
    assert not badge_shown(viewer)
    look_at(viewer, slide, 200, 150)
    assert badge_shown(viewer)
    slide.translate = slide.translate - 400 * slide.scale  # the result goes with it
    assert not badge_shown(viewer)
    slide.translate = slide.translate + 400 * slide.scale
    assert badge_shown(viewer)
    look_at(viewer, slide, 400, 300)
    zoom_to(viewer, slide, 1.0)
    assert badge_shown(viewer)


def test_the_badge_follows_a_layer_that_is_turned(make_napari_viewer: Callable[..., Any]) -> None:
    viewer = make_napari_viewer()
    keep_badge(viewer)
    known = {RESULT_KEY: {"badge": "COMPUTED · ×2 · downsample 1 from 2 · a · research use only"}}
    viewer.add_image(np.zeros((10, 100)), metadata=known, rotate=90)  # columns run upwards
    camera = viewer.scene.camera
    camera.zoom = 100
    for centre, seen in (((50.0, -5.0), True), ((5.0, 50.0), False)):
        place = viewer.layers[0].data_to_world((5, 50))
        camera.center = tuple(place) if seen else (place[1], place[0])
        assert badge_shown(viewer) == seen, centre


def test_the_edge_of_what_is_computed_is_drawn(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome, show=True)
    slide = viewer.layers[0]
    zoom_to(viewer, slide, 0.5)
    look_at(viewer, slide, 300, 200)
    finish(qtbot, dock)
    zoom_to(viewer, slide, 0.8)
    qtbot.wait(300)
    wanted = np.array([int(EDGE[i : i + 2], 16) for i in (1, 3, 5)])

    def drawn() -> int:
        picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
        return int((abs(picture - wanted).max(axis=-1) < 60).sum())

    with_edge = drawn()
    results(viewer)[0].bounding_box.visible = False
    qtbot.wait(100)
    assert with_edge > drawn() + 400  # the pattern has something of the colour, too
