"""The Slide dock in a real viewer, as a user drives it."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageCms
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication
from slides.pattern import write_tiff

from napari_cwtnet.cli import main
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.plugin.viewer.viewport import screen_pixel, visible_region
from napari_cwtnet.slides.file_degradation import FileDegradation

DockOf = Callable[..., Any]


def enter_mpp(dock: Any, qtbot: Any, text: str) -> None:
    """Type a pixel size, and wait for the slide that is opened anew."""
    box, before = dock.form.mpp, slide_of(dock.layer)
    dock.form.more.setChecked(True)
    if box.isReadOnly():
        dock.form.edit_mpp.click()
    box.lineEdit().selectAll()
    qtbot.keyClicks(box.lineEdit(), text)
    qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: slide_of(dock.layer) is not before, timeout=20000)
    qtbot.waitUntil(lambda: dock.form.overview.has_picture, timeout=20000)
    qtbot.wait(100)


def test_dock_says_what_the_slide_is(dock_of: DockOf, svs: Path) -> None:
    _, dock = dock_of(svs)
    form = dock.form
    assert form.slides.currentText() == "CMU-1-Small-Region.svs"
    assert form.more_details.isHidden()
    form.more.click()
    assert not form.more_details.isHidden()
    assert form.size.text() == "2220 × 2967 px\n1.11 × 1.48 mm"
    assert form.mpp.text() == "0.4990 µm/px"
    assert form.mpp.isReadOnly()
    assert form.magnification.text() == "20×"
    assert [b.text() for b in form.jumps.values()] == ["5×", "10×", "20×", "40×*"]
    assert all(b.isEnabled() for b in form.jumps.values())
    assert form.levels.rowCount() == 1
    assert [form.levels.item(0, i).text() for i in range(3)] == ["1", "0.499", "2220 × 2967"]
    assert not form.more_form.isRowVisible(form.icc)  # it has no profile
    assert not form.form.isRowVisible(form.note)


def test_what_the_pixels_went_through_is_looked_for_beside_the_window(
    dock_of: DockOf, qtbot: Any, svs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    look = FileDegradation.of_level

    def noted(known: FileDegradation, level: int) -> Any:
        threads.append(threading.current_thread())
        return look(known, level)

    monkeypatch.setattr(FileDegradation, "of_level", noted)
    _, dock = dock_of(svs)
    qtbot.waitUntil(lambda: dock.form.degradation.text() == "JPEG 30, RGB", timeout=20000)
    assert threads
    assert threading.main_thread() not in threads


def test_the_copied_command_says_the_same(
    dock_of: DockOf, qtbot: Any, ome: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, dock = dock_of(ome)
    enter_mpp(dock, qtbot, "0.3")
    dock.form.copy.click()
    capsys.readouterr()
    program, *words = shlex.split(QApplication.clipboard().text())
    assert program == "napari-cwtnet"
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (Path(said["path"]), said["mpp"], said["size"]) == (ome, 0.3, [731, 517])


def test_dock_without_a_slide_and_after_it(dock_of: DockOf, ome: Path) -> None:
    viewer, dock = dock_of()
    assert dock.layer is None
    assert dock.form.details.isHidden()
    (layer,) = viewer.open(ome, plugin="napari-cwtnet")  # not through the dock
    assert dock.layer == layer
    assert not dock.form.details.isHidden()
    assert dock.form.levels.rowCount() == 3
    viewer.layers.clear()
    assert dock.layer is None
    assert dock.form.details.isHidden()
    assert not dock.form.overview.has_picture


def test_dock_follows_the_active_slide(dock_of: DockOf, ome: Path, tiff: Path) -> None:
    viewer, dock = dock_of(ome)
    (second,) = viewer.open(tiff, plugin="napari-cwtnet")
    assert dock.layer == second
    viewer.layers.selection.active = viewer.layers[0]
    assert slide_of(dock.layer).path == ome
    other = viewer.add_image(np.zeros((9, 9)), units=("um", "um"))
    assert viewer.layers.selection.active == other
    assert slide_of(dock.layer).path == ome  # goes on being about the last slide


@pytest.mark.parametrize(("label", "micrometres"), [(5, 2.0), (10, 1.0), (20, 0.5), (40, 0.25)])
def test_jump(dock_of: DockOf, svs: Path, label: int, micrometres: float) -> None:
    viewer, dock = dock_of(svs)
    centre = viewer.scene.camera.center
    dock.form.jumps[label].click()
    assert viewer.scene.camera.zoom == pytest.approx(1 / micrometres)
    assert screen_pixel(viewer, dock.layer) * 0.499 == pytest.approx(micrometres)
    assert viewer.scene.camera.center == centre


def test_view_is_told_and_marked_while_panning(dock_of: DockOf, qtbot: Any, svs: Path) -> None:
    viewer, dock = dock_of(svs)
    dock.form.jumps[20].click()
    for x in range(400, 700, 20):
        viewer.scene.camera.center = (0, 500, x)
    qtbot.waitUntil(lambda: dock.form.overview.box == visible_region(viewer, dock.layer))
    assert dock.form.view.text() == "20× · 0.500 µm/px"
    assert dock.form.overview.box.x > 500


def test_click_on_the_thumbnail_moves_the_camera(dock_of: DockOf, qtbot: Any, svs: Path) -> None:
    viewer, dock = dock_of(svs, show=True)
    dock.form.jumps[20].click()
    overview = dock.form.overview
    middle = overview.rect().center()
    x, y = overview.place_at(middle.toPointF())
    assert (x, y) == pytest.approx((1110, 1483.5), abs=25)
    target = middle + QPoint(20, -30)
    want = overview.place_at(target.toPointF())
    qtbot.mouseClick(overview, Qt.MouseButton.LeftButton, pos=target)
    seen = visible_region(viewer, dock.layer)
    assert seen.x + seen.width / 2 == pytest.approx(want[0], abs=1)
    assert seen.y + seen.height / 2 == pytest.approx(want[1], abs=1)


def test_thumbnail_is_the_slide(dock_of: DockOf, qtbot: Any, tiff: Path) -> None:
    _, dock = dock_of(tiff, show=True)
    dock.form.overview.show_box(None)
    picture = dock.form.overview.grab().toImage()
    for x, y in ((30, 40), (365, 258), (700, 500)):
        frame, per_pixel = dock.form.overview._frame()
        shown = picture.pixelColor(int(frame.x() + x / per_pixel), int(frame.y() + y / per_pixel))
        truth = slide_of(dock.layer).read_level(0, x, y, 1, 1)[0, 0]
        assert np.abs(np.array(shown.getRgb()[:3]) - truth).max() < 30


def test_missing_pixel_size_is_set(dock_of: DockOf, qtbot: Any, tiff: Path) -> None:
    viewer, dock = dock_of(tiff)
    form = dock.form
    assert form.mpp.text() == "unknown"
    assert not form.mpp.isReadOnly()
    assert not any(b.isEnabled() for b in form.jumps.values())
    assert form.form.isRowVisible(form.ask_scanned)
    before = visible_region(viewer, dock.layer)
    enter_mpp(dock, qtbot, "0.25")
    slide = slide_of(dock.layer)
    assert slide.mpp == 0.25
    assert slide.mpp_note == "set by user"
    assert len(viewer.layers) == 1
    np.testing.assert_allclose(dock.layer.scale, (0.25, 0.25))
    assert [str(unit) for unit in dock.layer.units] == ["micrometer", "micrometer"]
    assert form.magnification.text() == "40×"
    assert all(b.isEnabled() for b in form.jumps.values())
    after = visible_region(viewer, dock.layer)  # the camera looks where it did
    assert (after.x, after.y, after.width) == pytest.approx((before.x, before.y, before.width))


def test_pixel_size_of_the_file_is_changed_and_had_back(
    dock_of: DockOf, qtbot: Any, ome: Path
) -> None:
    _, dock = dock_of(ome)
    enter_mpp(dock, qtbot, "0.5")
    np.testing.assert_allclose(dock.layer.scale, (0.5, 0.5))
    assert dock.form.note.text() == "Pixel size set by you, under Details."
    enter_mpp(dock, qtbot, "0")
    np.testing.assert_allclose(dock.layer.scale, (0.25, 0.25))
    assert slide_of(dock.layer).mpp_note is None


def test_absurd_pixel_size_is_refused_in_one_line(
    dock_of: DockOf, qtbot: Any, ome: Path, messages: list[str]
) -> None:
    _, dock = dock_of(ome)
    dock.form.edit_mpp.click()
    dock.form.mpp.setValue(0.01)
    dock.form.mpp.editingFinished.emit()
    qtbot.waitUntil(lambda: bool(messages), timeout=10000)
    qtbot.wait(50)
    assert len(messages) == 1
    assert "0.01" in messages[0]
    assert dock.form.mpp.text() == "0.2500 µm/px"


def test_profile_is_switched(dock_of: DockOf, qtbot: Any, tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = write_tiff(tmp_path / "profile.tif", iccprofile=profile)
    _, dock = dock_of(path)
    form = dock.form
    assert form.more_form.isRowVisible(form.icc)
    assert form.icc.isChecked()
    for on in (False, True):
        form.icc.click()
        qtbot.waitUntil(lambda on=on: slide_of(dock.layer).icc is on, timeout=10000)
        assert form.icc.isChecked() is on
    qtbot.wait(100)


def test_profile_choice_survives_a_pixel_size(dock_of: DockOf, qtbot: Any, tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    _, dock = dock_of(write_tiff(tmp_path / "profile.tif", iccprofile=profile))
    dock.form.icc.click()
    qtbot.waitUntil(lambda: not slide_of(dock.layer).icc, timeout=10000)
    enter_mpp(dock, qtbot, "0.3")
    assert not slide_of(dock.layer).icc
    assert slide_of(dock.layer).mpp == 0.3


def test_broken_slide_is_one_line_and_no_layer(
    dock_of: DockOf, qtbot: Any, tmp_path: Path, messages: list[str]
) -> None:
    path = tmp_path / "broken.svs"
    path.write_bytes(b"nothing")
    viewer, dock = dock_of()
    dock.open_slide(path)
    assert dock.form.open.text() == "Opening…"
    assert not dock.form.open.isEnabled()
    qtbot.waitUntil(dock.form.open.isEnabled, timeout=10000)
    assert len(messages) == 1
    assert "broken.svs" in messages[0]
    assert "\n" not in messages[0]
    assert len(viewer.layers) == 0
    assert dock.form.open.isEnabled()


def test_double_click_on_a_level(dock_of: DockOf, tiff: Path) -> None:
    viewer, dock = dock_of(tiff)
    dock.form.levels.cellDoubleClicked.emit(2, 0)
    assert screen_pixel(viewer, dock.layer) == pytest.approx(4)


def test_dock_fits_in_300_pixels(dock_of: DockOf, svs: Path) -> None:
    _, dock = dock_of(svs)
    assert dock.minimumSizeHint().width() <= 300


def test_closed_dock_is_not_heard_of_again(dock_of: DockOf, qtbot: Any, svs: Path) -> None:
    viewer, dock = dock_of(svs)
    viewer.window.remove_dock_widget(dock)
    del dock
    qtbot.wait(50)
    viewer.scene.camera.zoom = 3
    viewer.layers.clear()
    qtbot.wait(100)


def test_viewer_closed_while_a_slide_is_opened(dock_of: DockOf, qtbot: Any, svs: Path) -> None:
    """The fixture fails where a viewer is held by anything."""
    viewer, dock = dock_of()
    dock.open_slide(svs)
    viewer.close()
    del viewer, dock
    qtbot.wait(1000)
