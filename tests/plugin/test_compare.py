"""Comparing a result with its slide, by what is on the screen."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QLabel

from napari_cwtnet.enhancement import enhance, enlarged, truth
from napari_cwtnet.enhancement.quality import slide_on_grid
from napari_cwtnet.plugin.reader import reopened, replace_in
from napari_cwtnet.plugin.viewer.badge import OVERLAY
from napari_cwtnet.plugin.viewer.canvas import canvas_widget
from napari_cwtnet.plugin.viewer.compare import DIFFERENCE_RANGE, HERTZ
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.selection import source_of
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from plugin.enhance_help import PLUGIN, finish, results

RED = (255, 0, 0)


@pytest.fixture
def compared(enhance_dock: Callable[..., Any], qtbot: Any, ome: Path) -> Callable[..., Any]:
    """Makes a shown viewer with a finished result that is all red, so that it is told apart."""

    def make(level: float = 2.0) -> tuple[Any, Any, Any]:
        viewer, dock = enhance_dock(ome, level=level, show=True)
        viewer.canvas.overlays.scale_bar.visible = False
        qtbot.wait(100)
        viewer.reset_view()
        viewer.scene.camera.zoom *= 3
        finish(qtbot, dock)
        (result,) = results(viewer)
        result.data[..., :3] = RED
        result.refresh()
        qtbot.wait(100)
        return viewer, dock, result

    return make


def red_columns(viewer: Any) -> np.ndarray:
    """Where the result is seen, as parts of the canvas' width."""
    picture = viewer.screenshot(canvas_only=True, flash=False)
    row = picture[picture.shape[0] * 2 // 3, :, :3]
    return np.flatnonzero((row == RED).all(axis=1)) / picture.shape[1]


def press(dock: Any, mode: str) -> None:
    dock.compare.buttons[mode].click()


def badge_seen(viewer: Any) -> bool:
    overlay = viewer.canvas.overlays[OVERLAY]
    return overlay.visible and "COMPUTED · " in overlay.text


def test_nothing_to_compare(enhance_dock: Callable[..., Any], ome: Path) -> None:
    _, dock = enhance_dock(ome)
    assert dock.compare.words.startswith("Enhance something first")
    assert not any(button.isEnabled() for button in dock.compare.buttons.values())


def test_split_cuts_at_the_line_that_is_dragged(compared: Callable[..., Any], qtbot: Any) -> None:
    viewer, dock, result = compared()
    before = result.data.copy()
    assert red_columns(viewer)[0] < 0.01
    press(dock, "split")
    seen = red_columns(viewer)
    assert seen[0] == pytest.approx(0.5, abs=0.005)
    assert seen[-1] > 0.99
    assert badge_seen(viewer)
    handle, canvas = dock.compare.comparer.split.handle, canvas_widget(viewer)
    assert handle.isVisible()
    badge = viewer.canvas.overlays[OVERLAY]
    lines = badge.text.count("\n") + 1
    assert 15 * lines < handle.y() < 40 * lines  # below the badge
    assert handle.geometry().bottom() == canvas.height() - 1
    badge.text += "\nmore"
    assert handle.y() > 15 * (lines + 1)
    middle = QPoint(handle.width() // 2 + 3, handle.height() // 3)
    qtbot.mousePress(handle, Qt.MouseButton.LeftButton, pos=middle)
    qtbot.mouseMove(handle, middle - QPoint(canvas.width() // 4, 0))
    qtbot.mouseRelease(handle, Qt.MouseButton.LeftButton)
    assert dock.compare.comparer.split.fraction == pytest.approx(0.25, abs=0.01)
    assert handle.x() + handle.width() // 2 == pytest.approx(canvas.width() / 4, abs=2)
    assert red_columns(viewer)[0] == pytest.approx(0.25, abs=0.005)
    viewer.scene.camera.center = tuple(c + 3 for c in viewer.scene.camera.center)
    assert red_columns(viewer)[0] == pytest.approx(0.25, abs=0.005)  # it stays on the canvas
    result.data = result.data.copy()
    assert red_columns(viewer)[0] == pytest.approx(0.25, abs=0.005)
    press(dock, "split")
    assert red_columns(viewer)[0] < 0.01
    assert dock.compare.comparer.split.handle is None
    assert np.array_equal(result.data, before)


def test_right_of_the_line_is_nothing_but_what_was_computed(compared: Callable[..., Any]) -> None:
    viewer, dock, result = compared()
    result.data = np.zeros_like(result.data)  # transparent: nothing computed here
    press(dock, "split")
    seen = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    row = seen[int(seen.shape[0] * 0.7)]
    quarter = len(row) // 4
    assert row[:quarter].max() > 60  # the slide
    assert row[-quarter:].max() == 0
    press(dock, "split")
    row = viewer.screenshot(canvas_only=True, flash=False)[int(seen.shape[0] * 0.7), :, :3]
    assert row[-quarter:].max() > 60  # the slide is whole again


def test_left_of_the_line_is_the_slide_and_no_other_result(
    compared: Callable[..., Any], qtbot: Any
) -> None:
    viewer, dock, result = compared()
    dock.form.model.setCurrentText("other-x2")
    finish(qtbot, dock)
    other = next(layer for layer in results(viewer) if layer != result)
    press(dock, "split")
    assert dock.compare.comparer.split._pair.result == other
    assert other.visible
    assert not result.visible
    dock.form.model.setCurrentText("tiny-x4")
    finish(qtbot, dock)  # a third one: it is the one that is meant now
    newest = next(layer for layer in results(viewer) if layer not in (result, other))
    assert dock.compare.comparer.mode == "split"
    assert [layer.visible for layer in (result, other, newest)] == [False, False, True]
    press(dock, "split")
    assert [layer.visible for layer in (result, other, newest)] == [True, True, True]


def test_blink_shows_slide_and_result_in_turn(compared: Callable[..., Any], qtbot: Any) -> None:
    viewer, dock, result = compared()
    seen: list[tuple[float, bool, bool]] = []
    result.events.visible.connect(
        lambda _: seen.append((time.monotonic(), result.visible, badge_seen(viewer)))
    )
    canvas, began = canvas_widget(viewer), time.monotonic()
    qtbot.keyClick(canvas, Qt.Key.Key_K)
    assert dock.compare.buttons["blink"].isChecked()
    seen.clear()  # the slide is shown first
    assert not result.visible
    qtbot.waitUntil(lambda: len(seen) >= 4, timeout=10000)
    turns = len(seen)
    qtbot.keyClick(canvas, Qt.Key.Key_K)
    assert not dock.compare.buttons["blink"].isChecked()
    assert result.visible
    shown = [visible for _, visible, _ in seen]
    assert shown[:4] == [True, False, True, False]
    assert all(visible == badge for _, visible, badge in seen)  # it goes with the result
    assert 2 <= HERTZ < 3  # slower is no blinking, quicker flashes
    # From the beginning, for any turn may be late; what comes after the key is no turn.
    for number, (moment, _, _) in enumerate(seen[:turns], 1):
        assert moment - began > number * 0.5 / HERTZ - 0.05
    count = len(seen)
    qtbot.wait(600)
    assert len(seen) == count


def test_while_it_blinks_the_docks_go_on_and_mean_what_is_compared(
    compared: Callable[..., Any], qtbot: Any
) -> None:
    viewer, dock, result = compared()
    dock.form.model.setCurrentText("other-x2")
    finish(qtbot, dock)
    other = next(layer for layer in results(viewer) if layer != result)
    other.visible = False
    viewer.layers.selection.active = viewer.layers[0]
    press(dock, "blink")
    seen: list[bool] = []
    meant: set[tuple[str | None, str]] = set()

    def note(_: Any) -> None:
        seen.append(result.visible)
        meant.add((dock.result.copy_command(), dock.quality.text().split("\n")[1].split("\t")[0]))

    result.events.visible.connect(note)
    before = dock.sentence
    viewer.scene.camera.zoom *= 2
    qtbot.waitUntil(lambda: dock.sentence != before, timeout=5000)
    qtbot.waitUntil(lambda: len(seen) >= 4, timeout=10000)
    assert {True, False} == set(seen)
    ((line, model),) = meant
    assert "--model tiny-x2" in (line or "")
    assert "tiny-x2" in model
    assert not other.visible


def test_side_by_side_shows_one_place_twice(compared: Callable[..., Any], qtbot: Any) -> None:
    viewer, dock, _ = compared()
    shapes = viewer.add_shapes([[[0, 0], [9, 9]]], units=("um", "um"))
    press(dock, "side")
    qtbot.wait(300)
    assert viewer.canvas.grid.actual_shape(viewer.layers) == (1, 2)
    positions = [viewer.canvas.grid.position(index, viewer.layers) for index in (0, 1)]
    assert positions == [(0, 0), (0, 1)]  # the slide on the left
    assert not shapes.visible
    seen = red_columns(viewer)
    assert seen[0] == pytest.approx(0.5, abs=0.02)
    assert seen[-1] > 0.98
    assert badge_seen(viewer)
    canvas = canvas_widget(viewer)
    left, right = dock.compare.comparer._modes["side"].labels.labels
    assert (left.text(), right.text()) == ("slide", "computed")
    assert {left, right} == set(canvas.findChildren(QLabel, "cwtnet_side"))
    assert left.isVisible()
    assert left.geometry().right() < canvas.width() / 2 < right.geometry().left()
    centre = viewer.scene.camera.center
    viewer.scene.camera.zoom *= 1.5
    assert viewer.scene.camera.center == centre
    press(dock, "side")
    qtbot.wait(100)
    assert not viewer.canvas.grid.enabled
    assert shapes.visible
    assert not any(label.isVisible() for label in canvas.findChildren(QLabel, "cwtnet_side"))
    assert red_columns(viewer)[0] < 0.01


def test_the_sentence_is_about_the_whole_canvas_after_side_by_side(
    compared: Callable[..., Any], qtbot: Any
) -> None:
    _, dock, _ = compared()
    whole = dock.sentence
    press(dock, "side")
    qtbot.waitUntil(lambda: dock.sentence != whole, timeout=5000)  # half of it
    press(dock, "side")
    qtbot.waitUntil(lambda: dock.sentence == whole, timeout=5000)


def places(viewer: Any) -> list[tuple[int, int]]:
    grid = viewer.canvas.grid
    return [grid.position(index, viewer.layers) for index in range(len(viewer.layers))]


def test_the_slide_stays_left_or_it_ends(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 8
    finish(qtbot, dock)
    shapes = viewer.add_shapes([[[0, 0], [9, 9]]], units=("um", "um"))
    comparer, grid = dock.compare.comparer, viewer.canvas.grid
    press(dock, "side")
    viewer.layers.move(1, 0)  # the result below the slide
    assert comparer.mode == "side"
    assert places(viewer)[:2] == [(0, 1), (0, 0)]
    viewer.layers.move(2, 1)
    shapes.visible = True  # between them, it would push one out of its field
    assert comparer.mode is None
    assert not grid.enabled
    viewer.layers.move(1, 2)
    press(dock, "side")
    grid.enabled = False  # by napari's own button
    assert comparer.mode is None
    assert not dock.compare.buttons["side"].isChecked()


def test_no_split_across_napari_s_grid(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 8
    finish(qtbot, dock)
    grid = viewer.canvas.grid
    grid.enabled = True
    press(dock, "split")
    assert not grid.enabled
    press(dock, "split")
    assert grid.enabled  # as it was
    press(dock, "split")
    grid.enabled = True
    assert dock.compare.comparer.mode is None
    assert grid.enabled


def test_single_channels_and_copies(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    from napari.layers import _layer_actions as actions

    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 8
    finish(qtbot, dock)
    (result,) = results(viewer)
    viewer.layers.selection = {result}
    actions._duplicate_layer(viewer.layers)
    copy = next(layer for layer in results(viewer) if layer is not result)
    result.metadata = {**result.metadata, RESULT_KEY: {"badge": "another"}}
    assert source_of(copy) is not None
    assert copy.metadata[RESULT_KEY]["tiles_done"] == copy.metadata[RESULT_KEY]["tiles"]
    result.visible = False
    assert badge_seen(viewer)  # of the copy
    viewer.layers.remove(result)
    viewer.layers.selection = {copy}
    actions._split_stack(viewer.layers)
    channels = results(viewer)
    assert len(channels) == 4  # red, green, blue and what is computed
    assert badge_seen(viewer)
    assert not any(map(source_of, channels))
    assert dock.compare.comparer.hindrance


def against(dock: Any, text: str) -> None:
    """Choose from the list what to compare with."""
    combo = dock.compare.against
    index = next(i for i in range(combo.count()) if text in combo.itemText(i))
    combo.setCurrentIndex(index)
    combo.activated.emit(index)


@pytest.mark.parametrize("base", ["slide", "bicubic"])
@pytest.mark.parametrize("level", [2.0, 1.0])
def test_difference_is_signed_and_its_scale_is_fixed(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, level: float, base: str
) -> None:
    viewer, dock = enhance_dock(ome, level=level)
    viewer.scene.camera.zoom *= 4
    finish(qtbot, dock)
    (result,) = results(viewer)
    against(dock, {"slide": "slide", "bicubic": "Plain"}[base])
    press(dock, "difference")
    difference = dock.compare.comparer.difference
    qtbot.waitUntil(lambda: difference.layer is not None, timeout=30000)
    layer, source = difference.layer, source_of(result)
    plan = source.plan
    baseline = (
        enlarged(source.slide, plan, reference=False)
        if base == "bicubic"
        else slide_on_grid(source.slide, plan)
    )
    if base == "slide" and level == 2.0:
        assert np.array_equal(baseline, truth(source.slide, plan))
    want = result.data[..., :3].astype(float).mean(axis=2) - baseline.astype(float).mean(axis=2)
    assert np.abs(layer.data - want).max() < 1e-3
    assert want.min() < -0.5 < 0.5 < want.max()
    assert list(layer.contrast_limits) == [-DIFFERENCE_RANGE, DIFFERENCE_RANGE]
    assert layer.colormap.map(0.5)[0] == pytest.approx([1, 1, 1, 1], abs=0.01)
    assert layer.colorbar.visible
    assert f"±{DIFFERENCE_RANGE} of 255" in dock.compare.words
    assert ("minus the slide" in dock.compare.words) == (base == "slide")
    assert layer.data_to_world((3, 5)) == pytest.approx(result.data_to_world((3, 5)))
    assert layer.metadata[RESULT_KEY]["badge"] == result.metadata[RESULT_KEY]["badge"]
    result.visible = False
    assert badge_seen(viewer)  # of the map itself
    dock.compare.stop()
    assert results(viewer) == [result]


def test_what_was_not_computed_has_no_difference(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 8
    finish(qtbot, dock)
    (result,) = results(viewer)
    result.data[:10, :, 3] = 0
    press(dock, "difference")
    difference = dock.compare.comparer.difference
    qtbot.waitUntil(lambda: difference.layer is not None, timeout=30000)
    assert np.isnan(difference.layer.data[:10]).all()
    assert not np.isnan(difference.layer.data[10:]).any()


def test_no_difference_of_a_result_that_is_at_work(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 8
    finish(qtbot, dock)
    (result,) = results(viewer)
    known = dict(result.metadata[RESULT_KEY])
    done = known.pop("tiles_done")
    result.metadata = {**result.metadata, RESULT_KEY: known}
    dock.compare.refresh()
    assert not dock.compare.buttons["difference"].isEnabled()
    assert "still being computed" in dock.compare.buttons["difference"].toolTip()
    assert dock.compare.buttons["split"].isEnabled()
    result.metadata = {**result.metadata, RESULT_KEY: {**known, "tiles_done": done}}
    dock.compare.refresh()
    assert dock.compare.buttons["difference"].isEnabled()


def test_the_slide_is_drawn_smoothly_while_it_is_compared(
    compared: Callable[..., Any], qtbot: Any
) -> None:
    viewer, dock, result = compared(level=1.0)
    slide = viewer.layers[0]
    viewer.scene.camera.zoom *= 12
    qtbot.wait(100)

    def colours() -> int:
        picture = viewer.screenshot(canvas_only=True, flash=False)
        line = picture[picture.shape[0] * 2 // 3, : picture.shape[1] // 3, :3]
        return len(np.unique(line, axis=0))

    result.visible = False
    assert slide.interpolation2d == "nearest"
    blocks = colours()
    result.visible = True
    press(dock, "split")
    assert {slide.interpolation2d, result.interpolation2d} == {"linear"}
    assert colours() > 2 * blocks
    press(dock, "split")
    assert {slide.interpolation2d, result.interpolation2d} == {"nearest"}


@pytest.mark.parametrize("mode", ["split", "blink", "side"])
def test_plain_enlargement_is_made_and_goes_again(
    compared: Callable[..., Any], qtbot: Any, mode: str
) -> None:
    viewer, dock, result = compared()
    slide = viewer.layers[0]
    against(dock, "Plain")
    press(dock, mode)
    comparer = dock.compare.comparer
    qtbot.waitUntil(lambda: comparer._pair is not None, timeout=30000)
    base = comparer._pair.base
    assert not slide.visible
    assert list(viewer.layers) == [slide, base, result]
    source = source_of(result)
    assert np.array_equal(base.data, enlarged(source.slide, source.plan, reference=False))
    assert base.data_to_world((3, 5)) == pytest.approx(result.data_to_world((3, 5)))
    assert list(base.contrast_limits) == list(slide.contrast_limits)
    if mode == "side":
        assert [one.text() for one in comparer._side.labels.labels] == [
            "plain enlargement",
            "computed",
        ]
    if mode == "blink":
        assert base.visible != result.visible
    replace_in(viewer, slide, reopened(slide_of(slide), mpp=0.5, icc=True))
    assert base.data_to_world((3, 5)) == pytest.approx(result.data_to_world((3, 5)))
    dock.compare.stop()
    assert list(viewer.layers) == [slide, result]
    assert slide.visible
    assert result.visible


def test_two_results_side_by_side(compared: Callable[..., Any], qtbot: Any) -> None:
    viewer, dock, red = compared()
    dock.form.model.setCurrentText("other-x2")
    finish(qtbot, dock)
    other = next(layer for layer in results(viewer) if layer != red)
    viewer.layers.selection.active = red
    against(dock, "other-x2")
    press(dock, "split")
    pair = dock.compare.comparer._pair
    assert (pair.base, pair.result) == (other, red)
    assert not viewer.layers[0].visible
    assert red_columns(viewer)[0] == pytest.approx(0.5, abs=0.005)
    assert "other-x2" in dock.compare.words
    assert "tiny-x2" in dock.compare.words
    press(dock, "blink")
    assert (other.visible, red.visible) == (True, False)
    press(dock, "difference")
    difference = dock.compare.comparer.difference
    qtbot.waitUntil(lambda: difference.layer is not None, timeout=30000)
    want = np.subtract(red.data[..., :3], other.data[..., :3], dtype=float).mean(axis=2)
    assert np.abs(difference.layer.data - want).max() < 1e-3
    viewer.layers.remove(other)
    assert dock.compare.comparer.mode is None
    assert dock.compare.against.currentText() == "The slide"


def test_results_on_other_grids_are_subtracted_in_place() -> None:
    """A ramp in level-0 pixels, at downsamples 0.5 and 1, shifted by half a pixel."""
    from types import SimpleNamespace

    from napari_cwtnet.geometry import Region, Size
    from napari_cwtnet.plugin.viewer.compare_pair import Other

    def ramp(region: Region, downsample: float) -> np.ndarray:
        width, height = region.size_at(downsample)
        x = region.x + (np.arange(width) + 0.5) * downsample
        row = np.dstack([np.rint(4 * x)] * 3 + [np.full(width, 255)]).astype(np.uint8)
        return row.repeat(height, axis=0)

    def plan(region: Region, downsample: float) -> Any:
        size = Size(*region.size_at(downsample))
        return SimpleNamespace(region=region, output_downsample=downsample, output_size=size)

    here, there = Region(10, 4, 32, 16), Region(4.5, 0, 30, 30)
    for fine, coarse in ((0.5, 1.0), (1.0, 0.5), (1.0, 1.0)):
        pixels, covered = Other(ramp(there, coarse), plan(there, coarse)).on_grid(plan(here, fine))
        want = ramp(here, fine)[..., :3].astype(float)
        assert covered[:, : int(24 / fine)].all()
        assert not covered[:, int(25 / fine) :].any()
        middle = np.s_[4:-4, 4 : int(22 / fine)]
        assert np.abs(pixels[middle] - want[middle]).max() <= 1


def test_the_difference_follows_the_slide_s_pixel_size(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 8
    finish(qtbot, dock)
    press(dock, "difference")
    difference = dock.compare.comparer.difference
    qtbot.waitUntil(lambda: difference.layer is not None, timeout=10000)
    before, slide_layer = difference.layer, viewer.layers[0]
    replace_in(viewer, slide_layer, reopened(slide_of(slide_layer), mpp=0.5, icc=True))
    qtbot.waitUntil(lambda: difference.layer not in (None, before), timeout=30000)
    result = next(one for one in results(viewer) if source_of(one) is not None)
    assert difference.layer.data_to_world((3, 5)) == pytest.approx(result.data_to_world((3, 5)))
    assert viewer.canvas.overlays[OVERLAY].text.count("COMPUTED") == 1
    assert "40× from 20×" in viewer.canvas.overlays[OVERLAY].text


def test_both_have_the_slide_s_contrast_while_compared(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 4
    finish(qtbot, dock)
    slide, (result,) = viewer.layers[0], results(viewer)
    slide.gamma, slide.contrast_limits = 0.6, (20, 200)
    press(dock, "split")
    assert (result.gamma, list(result.contrast_limits)) == (0.6, [20, 200])
    slide.contrast_limits = (40, 180)
    assert list(result.contrast_limits) == [40, 180]
    press(dock, "split")
    slide.gamma = 1.4
    assert result.gamma == 0.6


def test_ends_by_itself_when_a_layer_or_the_dock_goes(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 8
    for mode in ("blink", "difference", "side", "split"):
        finish(qtbot, dock)
        press(dock, mode)
        assert dock.compare.comparer.mode == mode
        viewer.layers.remove(results(viewer)[0])
        assert dock.compare.comparer.mode is None
        assert not dock.compare.buttons[mode].isChecked()
        assert not viewer.canvas.grid.enabled
    finish(qtbot, dock)
    press(dock, "blink")
    viewer.window.remove_dock_widget(dock)
    assert dock.compare.comparer.mode is None
    assert results(viewer)[0].visible


def test_an_opened_export_can_be_compared(
    enhance_dock: Callable[..., Any],
    qtbot: Any,
    ome: Path,
    models: Path,
    tmp_path: Path,
    messages: list[str],
) -> None:
    from napari_cwtnet.export import save_image
    from napari_cwtnet.slides import open_slide

    with open_slide(ome) as slide:
        made = enhance(slide, (0, 0, 300, 200), model=models / "tiny-x2.safetensors")
    save_image(tmp_path / "a.ome.tif", made.image, made.provenance, made.mpp)
    viewer, dock = enhance_dock(ome, level=2.0)
    finish(qtbot, dock)
    (hidden,) = results(viewer)
    assert dock.quality.text()
    hidden.visible = False
    viewer.open(tmp_path / "a.ome.tif", plugin=PLUGIN)
    qtbot.waitUntil(lambda: dock.quality.text() == "", timeout=3000)  # it is not about the hidden
    viewer.scene.camera.zoom *= 2
    view = dock.result.copy_command()
    press(dock, "split")
    assert not hidden.visible
    viewer.layers.selection.active = hidden
    hidden.visible = True
    press(dock, "split")
    assert dock.result.copy_command() not in (None, view)
    viewer.layers.remove(hidden)
    press(dock, "split")
    assert dock.compare.comparer.mode == "split"
    assert not dock.compare.buttons["difference"].isEnabled()
    assert "this session" in dock.compare.buttons["difference"].toolTip()
    dock.result.export_to(tmp_path / "b.png")
    assert messages[-1].startswith("a.ome.tif is a file already")
    viewer.dims.ndisplay = 3
    assert dock.compare.words.startswith("Show the slide in 2D")
    viewer.dims.ndisplay = 2
    viewer.layers.remove(viewer.layers[0])
    assert dock.compare.words.startswith("Open the slide of the computed image")
    assert dock.compare.buttons["split"].toolTip() == dock.compare.words
