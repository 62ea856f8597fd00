"""The contour over a result, round what is not to be relied on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_cwtnet.inspection import calibration
from napari_cwtnet.plugin.tasks.model_list import MODELS
from napari_cwtnet.plugin.viewer import result_mark
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.selection import ERROR_KEY, MARK_KEY, source_of
from napari_cwtnet.plugin.viewer.viewport import zoom_to
from plugin.enhance_help import finish, results

MARK = "COMPUTED · do not rely on what is tinted"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The calibration of the first test that ends one: what a session keeps for the next."""
    return tmp_path_factory.mktemp("kept") / "calibrations"


@pytest.fixture
def dock(
    enhance_dock: Callable[..., Any],
    models: Path,
    svs: Path,
    monkeypatch: Any,
    tmp_path: Path,
    kept: Path,
) -> Iterator[tuple[Any, Any]]:
    """A real slide, zoomed in, with the shipped ×2 and one that predicts no error."""
    monkeypatch.setenv("CWTNET_CONFIG", str(tmp_path))
    shutil.copy(files("napari_cwtnet.model") / "weights" / "cwtnet-lite-x2.safetensors", models)
    viewer, dock = enhance_dock(svs)
    MODELS.load()
    dock.form.model.show_models()
    dock.form.model.setCurrentText("cwtnet-lite-x2")
    zoom_to(viewer, viewer.layers[0], 0.25)
    yield viewer, dock
    own = tmp_path / "calibrations"
    if own.exists() and not kept.exists():
        shutil.copytree(own, kept)


@pytest.fixture
def calibrated_dock(
    dock: tuple[Any, Any], kept: Path, tmp_path: Path, monkeypatch: Any
) -> tuple[Any, Any]:
    """The same on a slide that is calibrated already, if a test has done so; not once more then."""
    if kept.exists():
        shutil.copytree(kept, tmp_path / "calibrations")
        monkeypatch.delattr(calibration, "calibrate")
    return dock


def marks(viewer: Any) -> list[Any]:
    return [layer for layer in viewer.layers if layer.name == MARK]


def settled(qtbot: Any, dock: Any) -> None:
    qtbot.waitUntil(lambda: not dock.panel.mark.mark.runner.busy, timeout=60000)


def test_the_mark_follows_the_result(dock: tuple[Any, Any], qtbot: Any) -> None:
    viewer, enhance = dock
    form = enhance.panel.mark
    form.box.setChecked(True)
    assert form.words.startswith("There is no result to mark")
    finish(qtbot, enhance)
    settled(qtbot, enhance)
    (result,), (mark,) = results(viewer), marks(viewer)
    assert "12 fields of this slide at half this magnification" in form.words
    assert mark.data.shape == result.data.shape
    inside = mark.data[..., 3] > 0
    assert tuple(mark.scale) == tuple(result.scale)
    assert tuple(mark.translate) == tuple(result.translate)
    assert 0 < inside.mean() < 1
    assert set(np.unique(mark.data[..., 3])) == {0, 45, 255}
    shown = int(form.words.split(" %")[0])
    assert shown == pytest.approx(100 * inside[4::8, 4::8].mean(), abs=2)
    assert enhance.result.copy_command().endswith(" --trust")
    assert result.metadata[RESULT_KEY]["trust"]["marked_here"] == pytest.approx(
        inside[4::8, 4::8].mean(), abs=0.02
    )
    wrong = result.metadata[ERROR_KEY] > 12
    assert np.kron(wrong, np.ones((2, 2)))[~inside].mean() < 0.2  # of the squares' means
    z, y, x = viewer.scene.camera.center
    viewer.scene.camera.center = (z, y + 20, x + 20)
    finish(qtbot, enhance)
    settled(qtbot, enhance)
    (again,) = marks(viewer)
    assert again is not mark
    assert tuple(again.translate) == tuple(results(viewer)[0].translate)
    result = results(viewer)[0]
    for seen in (False, True):
        result.visible = seen
        assert again.visible == seen
    enhance.compare.comparer.choose("split")
    assert not again.visible
    enhance.compare.comparer.choose(None)
    assert again.visible
    form.box.setChecked(False)
    assert not marks(viewer)
    assert not form.words


def test_no_mark_outlives_its_result(calibrated_dock: tuple[Any, Any], qtbot: Any) -> None:
    viewer, enhance = calibrated_dock
    enhance.panel.mark.box.setChecked(True)
    finish(qtbot, enhance)
    settled(qtbot, enhance)
    assert len(marks(viewer)) == 1
    viewer.layers.remove(results(viewer)[0])
    qtbot.waitUntil(lambda: not marks(viewer))


def test_a_result_whose_model_predicts_nothing_says_so(dock: tuple[Any, Any], qtbot: Any) -> None:
    viewer, enhance = dock
    enhance.form.model.setCurrentText("tiny-x2")
    enhance.panel.mark.box.setChecked(True)
    finish(qtbot, enhance)
    settled(qtbot, enhance)
    assert source_of(results(viewer)[0]).job.header.name == "tiny-x2"
    assert "does not predict its error" in enhance.panel.mark.words
    assert not marks(viewer)


def test_what_is_at_work_says_nothing_once_the_box_is_off(
    dock: tuple[Any, Any], qtbot: Any
) -> None:
    viewer, enhance = dock
    form = enhance.panel.mark
    for end, words in (
        (lambda: form.box.setChecked(False), ""),
        (lambda: viewer.layers.remove(results(viewer)[0]), "There is no result to mark"),
    ):
        finish(qtbot, enhance)
        form.box.setChecked(True)
        qtbot.waitUntil(lambda: "of 12" in form.words, timeout=60000)
        assert form.words.startswith("Calibrating on this slide…")
        assert form.words.count("of 12") == 1
        end()
        settled(qtbot, enhance)
        qtbot.wait(300)
        assert form.words.startswith(words)
        assert bool(words) == bool(form.words)
        assert not marks(viewer)


def test_one_calibration_serves_every_result_of_its_kind(
    dock: tuple[Any, Any], qtbot: Any, monkeypatch: Any
) -> None:
    viewer, enhance = dock
    began = []
    plain = result_mark.calibrated
    monkeypatch.setattr(
        result_mark, "calibrated", lambda *a, **more: began.append(1) or plain(*a, **more)
    )
    enhance.panel.mark.box.setChecked(True)
    finish(qtbot, enhance)
    qtbot.waitUntil(lambda: "of 12" in enhance.panel.mark.words, timeout=60000)
    z, y, x = viewer.scene.camera.center
    viewer.scene.camera.center = (z, y + 20, x + 20)
    finish(qtbot, enhance)  # meanwhile, as Live does
    qtbot.waitUntil(lambda: bool(marks(viewer)), timeout=60000)
    assert len(began) == 1
    (mark,) = marks(viewer)
    assert tuple(mark.translate) == tuple(results(viewer)[0].translate)


def test_cancel_ends_a_calibration(dock: tuple[Any, Any], qtbot: Any) -> None:
    viewer, enhance = dock
    finish(qtbot, enhance)
    assert not enhance.cancel_button.isEnabled()
    form = enhance.panel.mark
    form.box.setChecked(True)
    qtbot.waitUntil(lambda: "of 12" in form.words, timeout=60000)
    assert enhance.cancel_button.isEnabled()
    run = form.mark.runner.run
    enhance.cancel_button.click()
    settled(qtbot, enhance)
    assert run.done < 11
    assert not enhance.cancel_button.isEnabled()
    assert not form.box.isChecked()
    assert not form.words
    assert len(results(viewer)) == 1


def test_a_marked_result_is_exported_with_its_mask(
    calibrated_dock: tuple[Any, Any], qtbot: Any, tmp_path: Path, messages: list[str]
) -> None:
    viewer, enhance = calibrated_dock
    enhance.panel.mark.box.setChecked(True)
    finish(qtbot, enhance)
    settled(qtbot, enhance)
    path = tmp_path / "a.png"
    with qtbot.waitSignal(enhance.result.exporter.ended, timeout=20000):
        enhance.result.export_to(path)
    assert "a.png.marked.png (what not to rely on)" in messages[-1]
    (mark,) = marks(viewer)
    with Image.open(tmp_path / "a.png.marked.png") as picture:
        mask = np.asarray(picture)
        provenance = json.loads(picture.text["Comment"])
    assert np.array_equal(mask == 255, mark.data[..., 3] > 0)
    assert set(np.unique(mask)) == {0, 255}
    trust = results(viewer)[0].metadata[RESULT_KEY]["trust"]
    assert provenance["trust"] == json.loads(json.dumps(trust))
    record = json.loads((tmp_path / "a.png.json").read_text(encoding="utf-8"))
    assert record["trust"] == provenance["trust"]
    assert trust["marked_here"] == pytest.approx((mask[4::8, 4::8] > 0).mean(), abs=0.02)
    enhance.panel.mark.box.setChecked(False)
    finish(qtbot, enhance)
    with qtbot.waitSignal(enhance.result.exporter.ended, timeout=20000):
        enhance.result.export_to(path)
    assert not (tmp_path / "a.png.marked.png").exists()  # it was of the pixels before


def test_pixels_that_nothing_has_marked_have_no_mask(
    calibrated_dock: tuple[Any, Any], qtbot: Any, tmp_path: Path
) -> None:
    viewer, enhance = calibrated_dock
    enhance.panel.mark.box.setChecked(True)
    finish(qtbot, enhance)
    settled(qtbot, enhance)
    assert results(viewer)[0].metadata[MARK_KEY] is not None
    enhance.panel.mark.box.setChecked(False)
    finish(qtbot, enhance)
    assert results(viewer)[0].metadata[MARK_KEY] is None
    with qtbot.waitSignal(enhance.result.exporter.ended, timeout=20000):
        enhance.result.export_to(tmp_path / "b.png")
    assert not (tmp_path / "b.png.marked.png").exists()
