"""What the Inspect dock shows is what the network did, in its place, with its scale."""

from __future__ import annotations

import gc
import json
import shlex
import shutil
import threading
import weakref
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_cwtnet.cli import main
from napari_cwtnet.enhancement import Engine, choose_device, own_dtype
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection import (
    attention,
    capture,
    coarser_scale_check,
    displacement,
    haar,
    self_ensemble_spread,
)
from napari_cwtnet.inspection.trust import consistency, error, expected_error, local_psnr
from napari_cwtnet.model import load_model
from napari_cwtnet.plugin.docks.finetune_form import FinetuneForm
from napari_cwtnet.plugin.tasks.device import ENGINES
from napari_cwtnet.plugin.tasks.runner import Ending, Run, Task, TaskRunner
from napari_cwtnet.plugin.viewer.badge import OVERLAY
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.requests import field_job
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from plugin.enhance_help import finish, write_model

THREAD = "napari-cwtnet inspection"


@pytest.fixture
def inspect_dock(
    make_napari_viewer: Callable[..., Any], qtbot: Any, models: Path
) -> Callable[..., Any]:
    """Makes a viewer with a slide and the Inspect dock, looking at a part of it."""
    write_model(models, "full-x4", 4, seed=5, search="full", blocks=2)

    def make(
        path: Path, model: str = "tiny-x4", level: float = 4.0, zoom: float = 5, **options: Any
    ) -> Any:
        viewer = make_napari_viewer(**options)
        viewer.open(path, plugin="napari-cwtnet")
        _, dock = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Inspect")
        dock.form.model.setCurrentText(model)
        dock.form.level.setCurrentIndex(dock.form.level.findData(level))
        viewer.reset_view()
        viewer.scene.camera.zoom *= zoom
        return viewer, dock

    return make


def settled(qtbot: Any, dock: Any) -> None:
    """Wait until nothing is at work."""
    qtbot.waitUntil(lambda: not dock.controller.busy, timeout=60000)


def look(qtbot: Any, dock: Any, **choices: Any) -> Any:
    """Choose what to see; gives the map's layer, or None."""
    dock.looking.choose(**choices)
    settled(qtbot, dock)
    return dock.layers.layers[0] if dock.layers.layers else None


def inspected(qtbot: Any, dock: Any) -> Any:
    """Inspect the view; gives the field that was captured."""
    dock.inspect_view()
    settled(qtbot, dock)
    assert dock.captured is not None, dock.status
    return dock.captured.field


def test_pixels_are_the_engine_s_on_a_real_slide(
    svs: Path, inspect_dock: Callable[..., Any], qtbot: Any, models: Path
) -> None:
    viewer, dock = inspect_dock(svs, zoom=12)
    field = inspected(qtbot, dock)
    job, _, words = field_job(viewer, viewer.layers[0], dock.form.choice)
    height, width = field.lr.shape[:2]
    assert f"Looks into the view, {width} × {height} input pixels. Reads " in words
    engine = Engine(load_model(models / "tiny-x4.safetensors"), "cpu")
    slide = slide_of(viewer.layers[0])
    direct = capture(slide, engine, job.request)
    assert np.array_equal(direct.sr, field.sr)
    (layer,) = dock.layers.layers  # shown at once
    assert layer.data == pytest.approx(consistency(direct.sr, direct.lr), nan_ok=True)
    assert dock.said == coarser_scale_check(slide, engine, direct).sentence
    for choices, want in (
        ({"show": "attention", "block": 1}, attention(direct, 1)),
        ({"show": "consistency"}, consistency(direct.sr, direct.lr)),
        ({"show": "error"}, error(direct)),
        ({"show": "local-psnr"}, local_psnr(direct)),
        ({"show": "spread"}, self_ensemble_spread(direct, engine)),
        ({"show": "bands", "image": "sr", "band": "HL"}, haar(direct.sr)[0]["HL"].mean(0)),
        ({"image": "truth", "band": "HH", "depth": 2}, haar(direct.truth, 2)[1]["HH"].mean(0)),
        ({"image": "predicted", "band": "LH"}, 255 * direct.predicted[:3].mean(0)),
    ):
        layer = look(qtbot, dock, **choices)
        assert layer.data == pytest.approx(want, nan_ok=True, abs=1e-3), choices
        assert layer.name.startswith("COMPUTED · ")
        assert layer.colorbar.visible
        assert layer.metadata[RESULT_KEY]["title"] in " ".join(
            viewer.canvas.overlays[OVERLAY].text.split()
        )
        low, high = (f"{limit:.3g}" for limit in layer.contrast_limits)
        numbers = dock.legend.text().split("\n")[1].split(" ")
        assert (numbers[0], numbers[-1]) == (low, high)
        assert dock.legend.isVisibleTo(dock)
        assert len(viewer.layers) == 2  # one in place of the other
    assert "truth" in dock.looking.energies.text()
    assert not dock.panel.calibrate_button.isEnabled()
    assert "predicts no error" in dock.panel.no_calibration.text()


def test_ranges_and_an_aligned_model(
    inspect_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    _, dock = inspect_dock(ome)
    inspected(qtbot, dock)
    layer = look(qtbot, dock, show="attention", block=None)
    assert layer.contrast_limits == [-1, 1]
    values = layer.data
    layer = look(qtbot, dock, stretched=True)
    assert layer.contrast_limits == pytest.approx(np.percentile(values, (1, 99)))
    layer = look(qtbot, dock, show="bands", image="sr", band="HH", stretched=False)
    assert layer.contrast_limits[0] == -layer.contrast_limits[1]
    assert layer.colormap.map(np.array([0.5]))[0, :3] == pytest.approx(0.5, abs=0.01)
    assert not {"displacement", "probe"} & set(dock.looking.offered)  # it takes none from elsewhere
    look(qtbot, dock, show="attention", block=1)
    assert "compares only the same place" in dock.looking.words.text()


def test_it_opens_on_trust_and_folds_research_away(
    inspect_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    _, dock = inspect_dock(ome)
    inspected(qtbot, dock)
    looking = dock.looking
    shown = [looking.trust.itemText(i) for i in range(looking.trust.count())]
    assert [words.split(" ")[0] for words in shown] == ["Consistency", "Spread", "True"]
    assert looking.trust.currentData() == "consistency"
    assert not looking.researchers.isExpanded()
    assert looking.research.currentIndex() == -1
    assert "Fixed scale, 0 to 20 grey levels" in dock.legend.text()
    layer = dock.layers.layers[0]
    assert layer.contrast_limits == [0, 20]
    values = layer.data
    layer = look(qtbot, dock, stretched=True)
    assert layer.contrast_limits == pytest.approx(np.nanpercentile(values, (1, 99)))
    assert "Auto contrast, 1–99 %" in dock.legend.text()
    look(qtbot, dock, show="attention", stretched=False)
    assert looking.researchers.isExpanded()
    assert looking.block.currentText() == "mean of all"
    assert looking.trust.currentIndex() == -1  # one map at a time
    looking.trust.activated.emit(2)
    settled(qtbot, dock)
    assert looking.research.currentIndex() == -1
    assert dock.layers.layers[0].name.startswith("COMPUTED · True error")


@pytest.mark.parametrize("level", [2.0, 4.0])
def test_registered_within_half_a_level_0_pixel(
    inspect_dock: Callable[..., Any], qtbot: Any, ome: Path, level: float
) -> None:
    viewer, dock = inspect_dock(ome, level=level)
    slide_layer = viewer.layers[0]
    slide_layer.translate = (11.0, -7.0)
    viewer.reset_view()
    viewer.scene.camera.zoom *= 4
    field = inspected(qtbot, dock)
    region = field.plan.region

    def corners(layer: Any) -> Any:
        """Where the layer's outer edges lie, in level-0 pixels: y, x of two corners."""
        ends = [(-0.5, -0.5), np.array(layer.data.shape[:2]) - 0.5]
        return [
            np.asarray(slide_layer.world_to_data(layer.data_to_world(end))) + 0.5 for end in ends
        ]

    for choices in (
        {"show": "attention"},
        {"show": "bands", "image": "sr", "band": "HH", "depth": 1},
        {"show": "error" if level == 4 else "consistency"},
    ):
        layer = look(qtbot, dock, **choices)
        for scale in (0.25, 0.5):  # the slide's pixel size may be set anew
            slide_layer.scale = (scale, scale)
            first, last = corners(layer)
            assert layer.units == slide_layer.units
            assert first == pytest.approx((region.y, region.x), abs=1e-6)
            pixel = region.width / field.lr.shape[1]
            cut = 2 * pixel if choices["show"] == "bands" else 1e-6  # an odd row has no pair
            assert last == pytest.approx((region.bottom, region.right), abs=cut)
    # and by what is seen: LL of LR is the slide at twice the downsample
    layer = look(qtbot, dock, show="bands", image="lr", band="LL", depth=1)
    height, width = layer.data.shape
    place = type(region)(region.x, region.y, width * 2 * level, height * 2 * level)
    want = slide_of(slide_layer).read(place, 2 * level).mean(-1)
    assert np.abs(layer.data / 2 - want)[2:-2, 2:-2].max() < 2.5


def test_steps_to_the_matches(inspect_dock: Callable[..., Any], qtbot: Any, svs: Path) -> None:
    viewer, dock = inspect_dock(svs, "full-x4")
    viewer.scene.camera.zoom *= 2
    field = inspected(qtbot, dock)
    layer = look(qtbot, dock, show="displacement", block=2)
    steps = displacement(field, 2)
    assert steps.any()
    still = (steps == 0).all(-1)
    assert (layer.data == 255).all(-1)[still].all()
    assert not (layer.data == 255).all(-1)[~still].all()
    arrows = dock.layers.layers[1]
    assert arrows.name == "COMPUTED · steps to the matches, block 2"
    for start, step in arrows.data[::50]:
        y, x = start + 0.5  # of the slide's data, so level-0 pixel centres
        row = int((y - field.plan.region.y) / 4)
        column = int((x - field.plan.region.x) / 4)
        assert step == pytest.approx(steps[row, column] * 4)
    assert "Block 2: " in dock.legend.text()
    assert "within 16 px" in dock.legend.text()
    assert "rim" in dock.legend.text()


def click(
    qtbot: Any, viewer: Any, slide_layer: Any, x: float, y: float, moved: tuple[int, ...] = ()
) -> None:
    """Click where a level-0 place is on the canvas; the pointer moves while pressed, if told."""
    canvas = viewer.window._qt_viewer.canvas.native
    world = np.asarray(slide_layer.data_to_world((y - 0.5, x - 0.5)))
    camera = viewer.scene.camera
    away = (world - np.asarray(camera.center)[-2:]) * camera.zoom
    place = QPoint(
        round(canvas.width() / 2 + float(away[1])), round(canvas.height() / 2 + float(away[0]))
    )
    qtbot.mouseMove(canvas, place)
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=place)
    for pixels in moved:
        qtbot.wait(20)  # vispy leaves out moves in quick succession
        _drag(canvas, place + QPoint(pixels, 0))
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=place)


def _drag(canvas: Any, place: QPoint) -> None:
    """Move the pointer with the left button down, which qtbot's own move has up."""
    here = QPointF(place)
    event = QMouseEvent(
        QMouseEvent.Type.MouseMove,
        here,
        QPointF(canvas.mapToGlobal(place)),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(canvas, event)


def test_a_click_asks_the_patch_under_it(
    inspect_dock: Callable[..., Any], qtbot: Any, svs: Path
) -> None:
    viewer, dock = inspect_dock(svs, "full-x4", show=True)
    viewer.scene.camera.zoom *= 2
    qtbot.wait(100)
    slide_layer = viewer.layers[0]
    field = inspected(qtbot, dock)
    region = field.plan.region
    assert look(qtbot, dock, show="probe", block=2) is None
    x, y = region.x + region.width * 0.4, region.y + region.height * 0.6
    click(qtbot, viewer, slide_layer, x, y, moved=(3, 60))  # a drag asks nothing, it pans
    assert dock.session.place is None
    viewer.scene.camera.zoom /= 2  # so that there is something beside the field
    qtbot.wait(50)
    click(qtbot, viewer, slide_layer, region.right + 8, y)
    assert "is outside the field" in dock.status
    assert dock.session.place is None
    viewer.scene.camera.zoom *= 2
    qtbot.wait(50)
    click(qtbot, viewer, slide_layer, x, y, moved=(2, 0))  # hands are not quite still
    qtbot.waitUntil(lambda: bool(dock.layers.layers) and not dock.controller.busy, timeout=60000)
    found, boxes = dock.layers.layers
    row, column = int((y - region.y) / 4), int((x - region.x) / 4)
    top = np.unravel_index(found.data.argmax(), found.data.shape)
    best = np.asarray(slide_layer.world_to_data(found.data_to_world(top))) + 0.5
    asked = boxes.data[-1].mean(0) + 0.5
    here = (asked[::-1] - (region.x, region.y)) / 4 - 0.5
    assert here == pytest.approx((column, row), abs=1.01)  # a screen pixel may fall beside it
    column, row = (round(i) for i in here)
    step = displacement(field, 2)[row, column]
    middle = np.array((region.y, region.x)) + (np.array((row, column)) + 0.5 + step) * 4
    assert best == pytest.approx(middle, abs=1e-6)
    assert boxes.data[-2].mean(0) + 0.5 == pytest.approx(middle, abs=1e-6)  # what h points at
    plates, labels = np.split(boxes.features["label"].to_numpy(), 2)
    assert labels[-1].endswith("asked")
    assert {len(label) > 0 for label in labels} == {True, False}
    form = FinetuneForm()
    qtbot.addWidget(form)
    form.show_layers(viewer.layers)  # its boxes are no regions to learn from
    assert [form.regions.itemText(n) for n in range(form.regions.count())] == ["whole slide"]
    assert all(bool(plate) == bool(label) for plate, label in zip(plates, labels, strict=True))
    assert found.name.startswith("COMPUTED · Relevance to the patch at ")
    assert "number 1 of" in dock.legend.text()


def test_words_and_what_is_refused(inspect_dock: Callable[..., Any], qtbot: Any, ome: Path) -> None:
    viewer, dock = inspect_dock(ome)
    qtbot.waitUntil(lambda: dock.sentence.startswith("Looks into the view, "), timeout=5000)
    assert "reads 1.000 µm/px (10×), reference 0.500" in dock.sentence.lower()
    dock.form.level.setCurrentIndex(dock.form.level.findData(1.0))
    viewer.reset_view()
    job, plan, words = field_job(viewer, viewer.layers[0], dock.form.choice)
    assert words.startswith("Looks into the middle of the view, 512 × 512 input pixels.")
    middle = (plan.region.x + 256, plan.region.y + 256)
    assert middle == pytest.approx((731 / 2, 517 / 2), abs=2)
    assert job.request.region == plan.region
    dock.form.level.setCurrentIndex(dock.form.level.findData(4.0))
    viewer.scene.camera.zoom *= 100
    qtbot.waitUntil(lambda: "too small to inspect" in dock.sentence, timeout=5000)
    assert not dock.panel.view_button.isEnabled()
    viewer.scene.camera.center = (0, 1e5, 1e5)
    qtbot.waitUntil(lambda: "not in view" in dock.sentence, timeout=5000)
    viewer.layers.clear()
    qtbot.waitUntil(lambda: dock.sentence == "Open a slide first.", timeout=5000)


def test_cancel_and_badge(inspect_dock: Callable[..., Any], qtbot: Any, svs: Path) -> None:
    viewer, dock = inspect_dock(svs, level=1.0)
    dock.inspect_view()
    qtbot.waitUntil(lambda: dock.controller.progress[0] >= 1, timeout=30000)
    assert THREAD in [thread.name for thread in threading.enumerate()]
    dock.panel.cancel_button.click()
    settled(qtbot, dock)
    assert dock.captured is None
    assert dock.status == "Cancelled"
    assert len(viewer.layers) == 1
    dock.form.level.setCurrentIndex(dock.form.level.findData(4.0))
    field = inspected(qtbot, dock)
    (layer,) = dock.layers.layers
    assert layer.metadata[RESULT_KEY]["badge"] == field.plan.badge
    assert viewer.canvas.overlays[OVERLAY].visible
    dock.panel.clear_button.click()
    assert len(viewer.layers) == 1
    assert not viewer.canvas.overlays[OVERLAY].visible


def test_a_dock_that_is_taken_out_ends_its_work(
    inspect_dock: Callable[..., Any], qtbot: Any, svs: Path
) -> None:
    viewer, dock = inspect_dock(svs, level=1.0)
    listening = dock._clicks._on_press
    assert listening in viewer.mouse_drag_callbacks
    dock.inspect_view()
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(
        lambda: THREAD not in [thread.name for thread in threading.enumerate()], timeout=30000
    )
    viewer.scene.camera.zoom *= 2
    qtbot.wait(400)
    assert listening not in viewer.mouse_drag_callbacks
    gone = weakref.ref(dock)
    del dock
    gc.collect()
    assert gone() is None  # the viewer keeps nothing of it


def test_the_copied_command_writes_the_bytes_that_are_shown(
    inspect_dock: Callable[..., Any], qtbot: Any, ome: Path, tmp_path: Path, messages: list[str]
) -> None:
    viewer, dock = inspect_dock(ome, "full-x4")
    assert "--dtype" not in dock.copy_command()
    dock.form.sharpness.setCurrentIndex(dock.form.sharpness.findData("soft"))
    assert " --sharpness soft " in dock.copy_command()
    other = "bfloat16" if own_dtype(choose_device("cpu")) == torch.float32 else "float32"
    dock.form.precision.setCurrentIndex(dock.form.precision.findData(other))
    of_the_view = dock.copy_command()
    field = inspected(qtbot, dock)
    assert field.plan.sharpness == "soft"
    viewer.scene.camera.zoom *= 3
    assert dock.copy_command() == of_the_view  # of the field, wherever one looks
    attended = look(qtbot, dock, show="attention", block=None).data
    trusted = look(qtbot, dock, show="consistency").data
    look(qtbot, dock, show="bands", image="sr", band="HH", depth=3)
    assert dock.copy_command() == of_the_view.replace(" --output", " --depth 3 --output")
    look(qtbot, dock, show="probe", block=1)
    region = field.plan.region
    dock.ask(region.x + region.width / 3, region.y + region.height / 3)
    settled(qtbot, dock)
    asked = dock.layers.layers[0].data
    line = dock.copy_command()
    assert QApplication.clipboard().text() == line
    assert messages[-1] == f"Copied: {line}"
    program, *words = shlex.split(line)
    assert program == "napari-cwtnet"
    assert words[-2:] == ["--output", "inside"]
    assert not main([*words[:-1], str(tmp_path / "inside")])
    record = json.loads((tmp_path / "inside" / "inspection.json").read_text(encoding="utf-8"))
    assert record["dtype"] == other
    for name, shown in (
        ("attention-mean", attended),
        ("consistency", trusted),
        ("probe-block-1", asked),
    ):
        written = tifffile.imread(tmp_path / "inside" / f"{name}.ome.tif")
        assert written.tobytes() == np.ascontiguousarray(shown).tobytes(), name


def test_a_task_that_is_cancelled_gives_no_answer(qtbot: Any) -> None:
    inspector = TaskRunner()
    answers: list[int] = []
    endings: list[Ending] = []
    inspector.ended.connect(endings.append)
    for cancelled in (True, False):
        inspector.submit(Task("Counting…", lambda: Run(lambda *_: 1), answers.append))
        inspector._run.join()  # it is done, and the window has not looked yet
        if cancelled:
            inspector.cancel()
        qtbot.waitUntil(lambda: not inspector.busy, timeout=5000)
    assert [ending.kind for ending in endings] == ["cancelled", "done"]
    assert answers == [1]


def test_memory_is_released_and_a_deleted_slide_let_go(
    inspect_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = inspect_dock(ome)
    assert inspected(qtbot, dock).plan.downsample == 4
    dock.form.level.setCurrentIndex(dock.form.level.findData(2.0))
    dock.inspect_view()
    dock.looking.choose(show="confidence")  # is shown at the end, and does not end the capture
    settled(qtbot, dock)
    assert dock.captured.field.plan.downsample == 2
    assert dock.layers.layers[0].name.startswith("COMPUTED · Attention confidence")
    field = weakref.ref(dock.captured.field.parts[0].lr)
    dock.panel.release_button.click()
    gc.collect()
    assert field() is None
    assert not len(ENGINES)
    assert len(viewer.layers) == 1
    assert dock.looking.isHidden()
    assert dock.legend.isHidden()
    inspected(qtbot, dock)
    dock.inspect_view()
    viewer.layers.clear()  # while it is at work
    settled(qtbot, dock)
    assert dock.captured is None
    assert len(viewer.layers) == 0
    assert dock.copy_command() is None


def test_the_model_that_was_enhanced_with_is_looked_into(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, enhance = enhance_dock(ome, "tiny-x4")
    _, dock = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Inspect")
    assert dock.form.model.currentText() == "other-x2"  # the first of all
    viewer.scene.camera.zoom *= 8
    finish(qtbot, enhance)
    qtbot.waitUntil(lambda: dock.form.model.currentText() == "tiny-x4", timeout=20000)
    dock.form.model.setCurrentText("tiny-x2")
    viewer.scene.camera.zoom *= 1.1
    dock.form.changed.emit()
    assert dock.form.model.currentText() == "tiny-x2"


def test_a_region_of_interest_is_looked_into(
    inspect_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = inspect_dock(ome)
    assert not dock.panel.roi_button.isEnabled()
    assert "Draw and select a shape" in dock.panel.roi_button.toolTip()
    corners = ((200, 300), (200, 419), (279, 419), (279, 300))  # rows and columns of level 0
    slide = viewer.layers[0]
    viewer.add_shapes([[slide.data_to_world(corner) for corner in corners]], units=slide.units)
    qtbot.waitUntil(dock.panel.roi_button.isEnabled, timeout=10000)
    assert "Looks into the ROI, 30 × 20 input pixels" in dock.panel.roi_button.toolTip()
    dock.panel.roi_button.click()
    settled(qtbot, dock)
    assert dock.captured.field.plan.region == Region(300, 200, 120, 80)


def test_calibrated_on_the_slide_its_mark_stays_over_every_map(
    svs: Path, inspect_dock: Callable[..., Any], qtbot: Any, models: Path, monkeypatch: Any,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("CWTNET_CONFIG", str(tmp_path))
    shutil.copy(files("napari_cwtnet.model") / "weights" / "cwtnet-lite-x2.safetensors", models)
    viewer, dock = inspect_dock(svs, model="cwtnet-lite-x2", level=1.0, zoom=14)
    field = inspected(qtbot, dock)
    assert dock.looking.selection.show == "expected-error"
    assert dock.panel.calibrate_button.isVisibleTo(dock)
    assert len(dock.layers.layers) == 1
    dock.panel.calibrate_button.click()
    settled(qtbot, dock)
    settled(qtbot, dock)  # the map is made again
    found = dock.captured.calibration
    assert found.fields == 12
    assert "12 fields of this slide at half this magnification" in dock.said
    for show in ("expected-error", "consistency"):
        look(qtbot, dock, show=show)
        shown, mark = dock.layers.layers
        assert mark.name == "COMPUTED · inspected: do not rely on what is tinted"
        expected = expected_error(field.sr, field.lr, field.error, field.kernel)
        squares = found.mark(expected, 2)
        assert 0 < squares.mean() < 1
        assert np.array_equal(mark.data[4::8, 4::8, 3] > 0, squares[: mark.data.shape[0] // 8 + 1])
        corners = [
            layer.extent.world + np.array([[-1], [1]]) * layer.scale / 2 for layer in (mark, shown)
        ]
        assert corners[0] == pytest.approx(corners[1], abs=1e-6)
    assert len(viewer.layers) == 3
    assert " --trust " in dock.copy_command()
    inspected(qtbot, dock)  # of the same slide: by what was kept
    assert dock.captured.calibration == found
    assert len(dock.layers.layers) == 2
