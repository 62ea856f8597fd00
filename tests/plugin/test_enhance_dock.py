"""What the Enhance dock says and allows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_cwtnet.plugin.docks.model_form import ModelCombo
from napari_cwtnet.plugin.tasks.model_list import MODELS
from napari_cwtnet.plugin.viewer.badge import OVERLAY, keep_badge
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from plugin.enhance_help import finish, results, write_model


def test_no_slide(
    make_napari_viewer: Callable[..., Any], models: Path, messages: list[str]
) -> None:
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Enhance")
    assert dock.sentence == "Open a slide first."
    for button in (dock.view_button, dock.roi_button):
        assert not button.isEnabled()
        assert button.toolTip().startswith("Open a slide first.")
    dock.enhance_view()
    assert messages == ["Open a slide first."]
    assert not dock.controller.busy


def test_no_model(enhance_dock: Callable[..., Any], models: Path, ome: Path, qtbot: Any) -> None:
    _, dock = enhance_dock(ome)
    for path in models.iterdir():
        path.unlink()
    MODELS.load()
    dock.form.model.show_models()
    assert dock.sentence.startswith("There is no model")
    assert not dock.view_button.isEnabled()
    write_model(models, "came-later", 8)
    MODELS.load()
    dock.form.model.show_models()
    assert dock.form.choice.model == "came-later"
    assert dock.view_button.isEnabled()


def test_a_model_for_looking_inside_is_offered_last_and_no_target_s(
    enhance_dock: Callable[..., Any], models: Path, ome: Path, qtbot: Any
) -> None:
    write_model(models, "a-first-by-name-x4", 4, purpose="for looking inside")
    _, dock = enhance_dock(ome)
    MODELS.load()
    combo, target = dock.form.model, dock.form.target
    combo.show_models()
    names = [combo.itemText(n) for n in range(combo.count())]
    assert names == ["other-x2", "tiny-x2", "tiny-x4", "a-first-by-name-x4"]
    fresh = ModelCombo("")
    qtbot.addWidget(fresh)
    assert fresh.choice == "other-x2"
    target.setCurrentIndex(target.findData(4))
    target.activated.emit(target.currentIndex())
    assert combo.choice == "tiny-x4"


def test_the_sentence_follows_widgets_and_camera(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome, "tiny-x4", 2.0)
    assert dock.sentence.startswith(
        "Reads 0.500 µm/px (20×), reference 0.250 µm/px (40×), writes 0.125 µm/px (80×) — "
        "cannot be checked"
    )
    assert "1,462 × 1,034 pixels" in dock.sentence
    dock.form.reference.setCurrentIndex(dock.form.reference.findData("none"))
    assert dock.sentence.startswith("Reads 0.500 µm/px (20×), writes 0.125 µm/px (80×)")
    dock.form.model.setCurrentText("tiny-x2")
    dock.form.reference.setCurrentIndex(dock.form.reference.findData("next"))
    assert "ORACLE" in dock.sentence
    dock.form.level.setCurrentIndex(0)
    dock.form.reference.setCurrentIndex(0)
    viewer.scene.camera.zoom = 4.0  # one level-0 pixel a screen pixel
    qtbot.waitUntil(lambda: dock.sentence.startswith("Nothing to gain"), timeout=5000)
    viewer.scene.camera.zoom = 8.0
    qtbot.waitUntil(
        lambda: dock.sentence.startswith("40× → 80×, 0.125 µm/px. Cannot be checked"), timeout=5000
    )
    viewer.scene.camera.center = (0, 1e5, 1e5)
    qtbot.waitUntil(lambda: dock.sentence.startswith("The slide is not in view"), timeout=5000)
    assert not dock.view_button.isEnabled()


def test_where_the_slide_is_sharp_enough_it_offers_to_zoom_in(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome, level=None, show=True)
    viewer.scene.camera.zoom = 2.0  # two level-0 pixels a screen pixel
    button = dock.panel.zoom_button
    qtbot.waitUntil(lambda: button.isVisible() and not dock.view_button.isEnabled(), timeout=5000)
    assert button.text() == "Zoom to 80×"
    place = dock.view_button.y()
    dock.live.setChecked(True)
    qtbot.wait(500)
    assert dock.live.isEnabled()
    assert not dock.controller.busy
    with qtbot.waitSignal(dock.controller.ended, timeout=60000):
        button.click()  # Live goes on by itself where there is something to gain
    assert viewer.scene.camera.zoom == pytest.approx(8.0)
    assert not button.isVisible()
    assert dock.view_button.y() == place
    (layer,) = results(viewer)
    assert layer.metadata[RESULT_KEY]["output_downsample"] == 0.5


def test_target_and_model_are_one_choice(enhance_dock: Callable[..., Any], ome: Path) -> None:
    _, dock = enhance_dock(ome, level=None)
    target, model = dock.form.target, dock.form.model
    words = [target.itemText(number) for number in range(target.count())]
    assert words == ["40× → 80×, 0.125 µm/px", "40× → 160×, 0.0625 µm/px"]
    target.setCurrentIndex(1)
    target.activated.emit(1)
    assert model.choice == "tiny-x4"
    model.setCurrentText("other-x2")
    assert target.currentData() == 2
    target.activated.emit(0)
    assert model.choice == "other-x2"


def test_levels_are_in_words(enhance_dock: Callable[..., Any], ome: Path) -> None:
    _, dock = enhance_dock(ome)
    level = dock.form.level
    assert [level.itemText(i) for i in range(level.count())] == [
        "Auto (the finest)",
        "0.250 µm/px (40×)",
        "0.500 µm/px (20×)",
        "1.000 µm/px (10×)",
        "2.000 µm/px (5×)",
    ]


def test_too_large_a_request_says_what_to_do(
    enhance_dock: Callable[..., Any], models: Path, tmp_path: Path, qtbot: Any
) -> None:
    path = tmp_path / "large.tif"
    tifffile.imwrite(path, np.zeros((1200, 1200, 3), np.uint8), photometric="rgb", tile=(128, 128))
    write_model(models, "x8", 8)
    _, dock = enhance_dock(path, "x8")
    assert dock.sentence == (
        "The result would have 9,600 × 9,600 pixels, more than 64 million; zoom in, mark a "
        "smaller ROI, or write it to a file by Whole slide…."
    )
    assert not dock.view_button.isEnabled()
    dock.form.level.setCurrentIndex(dock.form.level.findData(4.0))
    assert dock.view_button.isEnabled()


def test_quality_where_the_slide_holds_the_truth(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome, level=2.0)
    quality = finish(qtbot, dock).quality
    text = dock.quality.text()
    assert f"{quality.psnr:.2f}" in text
    assert f"{quality.ssim_bicubic:.4f}" in text
    assert "reference" not in text
    assert results(viewer)[0].metadata[RESULT_KEY]["quality"]["psnr"] == quality.psnr
    dock.form.model.setCurrentText("tiny-x4")
    dock.form.level.setCurrentIndex(dock.form.level.findData(4.0))
    quality = finish(qtbot, dock).quality
    assert f"{quality.psnr_reference_bicubic:.2f}" in dock.quality.text()
    dock.form.level.setCurrentIndex(dock.form.level.findData(1.0))
    viewer.scene.camera.zoom *= 5
    finish(qtbot, dock)
    assert "Cannot be checked: the scanner recorded nothing this fine" in dock.sentence
    assert not dock.quality.text()  # said once


def test_badge_as_long_as_a_computed_layer_is_visible(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.canvas.overlays.text.text = "mine"
    viewer.canvas.overlays.text.visible = True
    viewer.scene.camera.zoom *= 4
    finish(qtbot, dock)
    overlay, (layer,) = viewer.canvas.overlays[OVERLAY], results(viewer)
    badge = layer.metadata[RESULT_KEY]["badge"]
    assert badge == "COMPUTED · 80× from 40× · 0.125 µm/px · tiny-x2 · research use only"

    def shown() -> str:
        return " · ".join(line.strip() for line in overlay.text.splitlines())

    assert overlay.visible
    assert shown() == badge
    layer.visible = False
    assert not overlay.visible
    layer.visible = True
    assert overlay.visible
    dock.form.model.setCurrentText("tiny-x4")
    finish(qtbot, dock)
    assert len(results(viewer)) == 2  # another model, another layer: to compare
    assert "tiny-x4" in shown()
    assert "tiny-x2" in shown()
    viewer.window.remove_dock_widget(dock)
    viewer.layers[-1].visible = False
    assert shown() == badge
    del viewer.layers[1:]
    assert not overlay.visible
    assert viewer.canvas.overlays.text.text == "mine"
    assert viewer.canvas.overlays.text.visible


def test_figures_and_command_are_of_the_result_that_is_shown(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome, "tiny-x4", 4.0)
    told = {}
    for reference in ("auto", "none"):
        dock.form.reference.setCurrentIndex(dock.form.reference.findData(reference))
        quality = finish(qtbot, dock).quality
        told[reference] = f"{quality.psnr:.2f}"
    assert told["auto"] != told["none"]
    both = paired, alone = results(viewer)
    assert paired.name == f"{alone.name} cross-scale"

    def meant() -> str:
        (reference,) = [name for name, psnr in told.items() if psnr in dock.quality.text()]
        assert ("cross-scale" in dock.quality.text()) == (reference == "auto")
        assert f"--reference {reference}" in (dock.result.copy_command() or "")
        return reference

    assert meant() == "none"
    alone.visible = False
    qtbot.waitUntil(lambda: meant() == "auto", timeout=3000)
    alone.visible = True
    viewer.layers.selection.active = paired
    qtbot.waitUntil(lambda: meant() == "auto", timeout=3000)
    viewer.layers.selection.active = viewer.layers[0]
    qtbot.waitUntil(lambda: meant() == "none", timeout=3000)
    for layer in both:
        layer.visible = False
    viewer.layers.selection.active = paired
    qtbot.waitUntil(lambda: meant() == "auto", timeout=3000)  # of all that are hidden
    for layer in both:
        layer.visible = True
    viewer.layers.selection.active = viewer.layers[0]
    qtbot.waitUntil(lambda: meant() == "none", timeout=3000)
    viewer.layers.move(viewer.layers.index(paired), len(viewer.layers))
    qtbot.waitUntil(lambda: meant() == "auto", timeout=3000)


@pytest.mark.parametrize("deleted", ["result", "slide"])
def test_what_is_deleted_is_told_of_no_more(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, deleted: str
) -> None:
    viewer, dock = enhance_dock(ome, level=2.0)
    finish(qtbot, dock)
    assert dock.status.startswith("Done")
    assert dock.quality.text()
    viewer.add_shapes()
    del viewer.layers[-1]  # another layer changes nothing
    assert dock.quality.text()
    del viewer.layers[1 if deleted == "result" else 0]
    assert dock.status == dock.quality.text() == ""


def test_nothing_is_told_of_what_was_deleted_while_it_was_made(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome, level=2.0)
    with qtbot.waitSignal(dock.controller.ended, timeout=60000) as blocker:
        dock.enhance_view()
        qtbot.waitUntil(lambda: bool(results(viewer)), timeout=30000)
        del viewer.layers[1]
    assert blocker.args[0].quality.psnr
    assert dock.status == dock.quality.text() == ""


def test_the_precision_that_is_chosen_is_computed_in_and_copied(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 8
    assert "--dtype" not in dock.result.copy_command()
    images = []
    for dtype in ("float32", "bfloat16"):
        dock.form.precision.setCurrentIndex(dock.form.precision.findData(dtype))
        finish(qtbot, dock)
        (layer,) = results(viewer)
        assert layer.metadata[RESULT_KEY]["dtype"] == dtype
        assert f"--dtype {dtype} " in dock.result.copy_command()
        images.append(layer.data.copy())
    assert (images[0] != images[1]).any()


def test_the_badge_stays_small_and_names_the_topmost(
    make_napari_viewer: Callable[..., Any],
) -> None:
    viewer = make_napari_viewer()
    keep_badge(viewer)
    sizes = []
    for number in range(1, 7):
        badge = f"COMPUTED · 40× from 20× · 0.25 µm/px · model-{number} · research use only"
        viewer.add_image(np.zeros((4, 4)), metadata={RESULT_KEY: {"badge": badge}})
        lines = viewer.canvas.overlays[OVERLAY].text.splitlines()
        sizes.append(len(lines))
    words = " · ".join(line.strip() for line in lines)
    assert words == f"{badge} · also 40× 0.25 µm/px model-5 · 40× 0.25 µm/px model-4 · 3 more"
    assert sizes[-1] == sizes[-2] <= 4  # it has long ceased to grow


@pytest.mark.parametrize("width", [1150, 1500])
@pytest.mark.parametrize("given", ["", " from 0.998", " from 0.998 · cross-scale"])
def test_the_badge_s_words_are_within_its_box(
    make_napari_viewer: Callable[..., Any], qtbot: Any, given: str, width: int
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(width, 900)
    qtbot.wait(100)
    keep_badge(viewer)
    made = f"COMPUTED · 20× from 5× · 0.499 µm/px{given}"
    badge = f"{made} · cwtnet-lite-x4 · research use only"
    viewer.add_image(np.zeros((4, 4)), metadata={RESULT_KEY: {"badge": badge}})
    viewer.layers[0].opacity = 0
    qtbot.wait(300)
    top = viewer.screenshot(canvas_only=True, flash=False)[:60, :, :3].astype(int)
    box = np.flatnonzero((top[..., 0] > top[..., 1] + 60).any(axis=0))
    words = np.flatnonzero((top.min(axis=-1) > 150).any(axis=0))
    assert words[0] - box[0] >= 8
    assert box[-1] - words[-1] >= 8
