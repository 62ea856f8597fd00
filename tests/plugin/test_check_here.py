"""Check here: the model against the slide's own pixels in the view, beside the window."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtWidgets import QApplication

from napari_cwtnet.cli import main
from napari_cwtnet.enhancement.check import check
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import load_model
from napari_cwtnet.plugin.tasks.device import ARBITER
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.plugin.viewer.viewport import look_at, zoom_to
from plugin.enhance_help import finish, results, write_model

Dock = Callable[..., Any]


def checked(qtbot: Any, dock: Any) -> Any:
    """Press the button, wait for the end; gives it."""
    with qtbot.waitSignal(dock.checker.ended, timeout=60000) as blocker:
        dock.panel.check_button.click()
    return blocker.args[0]


def test_a_check_says_what_python_and_the_command_line_say(
    enhance_dock: Dock, qtbot: Any, ome: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 2
    shown = dock.panel.check
    assert shown.isHidden()
    assert dock.panel.check_button.toolTip().startswith(
        "Check: 20× → 40× against the slide's own 40×."
    )
    assert checked(qtbot, dock).kind == "done"
    job = dock.checker.found.job
    assert job.request.downsample == 2  # coarser than the chosen level 1, which has no truth
    direct = check(
        slide_of(viewer.layers[0]),
        load_model(models / "tiny-x2.safetensors"),
        [job.request.region],
        2,
    )
    assert direct.quality.psnr is not None
    assert shown.sentence.text() == direct.sentence
    assert direct.sentence.startswith("Check: 20× → 40× against the slide's own 40×: ")
    assert "(stored level, " in direct.sentence
    title, ours, bicubic = shown.quality.text().splitlines()
    assert title.split("\t") == ["Against the slide", "PSNR, dB", "SSIM"]
    assert ours.startswith("tiny-x2\t")
    assert f"{direct.quality.psnr:.2f}" in ours
    assert f"{direct.quality.ssim_bicubic:.4f}" in bicubic
    assert dock.status.endswith("than plain enlargement; figures below")
    assert not results(viewer)  # a check writes no layer
    shown.copy_button.click()
    program, *words = shlex.split(QApplication.clipboard().text())
    assert (program, words[0]) == ("napari-cwtnet", "check")
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["what"] == direct.sentence
    assert said["psnr"] == pytest.approx(direct.quality.psnr, abs=1e-4)
    assert Region(*said["regions"][0]["region"]) == direct.regions[0]


def test_a_model_that_does_worse_is_not_to_be_used(
    enhance_dock: Dock, qtbot: Any, ome: Path, models: Path
) -> None:
    write_model(models, "bad-x4", 4, seed=7)
    _, dock = enhance_dock(ome, "bad-x4", None)
    checked(qtbot, dock)
    found = dock.checker.found.check
    assert found.quality.gain < 0
    assert f"{-found.quality.gain:.1f} dB WORSE than plain enlargement" in found.sentence
    assert "; do not use this model on this slide (" in found.sentence
    assert dock.panel.check.sentence.text() == found.sentence
    assert "fine-tune" not in dock.panel.check.quality.text()  # it is said once


def test_sharpness_makes_the_level_that_a_slide_lacks(
    svs: Path, enhance_dock: Dock, qtbot: Any
) -> None:
    viewer, dock = enhance_dock(svs)
    viewer.scene.camera.zoom *= 8
    sentences = []
    for value in ("auto", "softest"):
        dock.form.sharpness.setCurrentIndex(dock.form.sharpness.findData(value))
        assert checked(qtbot, dock).kind == "done"
        sentences.append(dock.panel.check.sentence.text())
    assert "(level made, its kernel assumed: 2×2 mean · JPEG " in sentences[0]
    assert "(level made, its kernel assumed: gauss1.2 · JPEG " in sentences[1]
    assert "--sharpness softest" in dock.panel.check.copy_command()


def test_cancelled_and_superseded(enhance_dock: Dock, qtbot: Any, ome: Path) -> None:
    viewer, dock = enhance_dock(ome, level=2.0)
    runner = dock.checker
    assert not dock.cancel_button.isEnabled()
    dock.check_here()
    assert dock.status == "Checking…"
    with qtbot.waitSignal(runner.ended, timeout=60000):
        dock.cancel_button.click()
    assert dock.status == "Check cancelled"
    assert dock.panel.check.isHidden()
    assert not ARBITER.taken
    dock.check_here()
    assert finish(qtbot, dock).kind == "done"  # an enhancement takes its place
    qtbot.waitUntil(lambda: not runner.busy, timeout=20000)
    assert dock.checker.found is None
    (layer,) = results(viewer)
    assert layer.metadata[RESULT_KEY]["tiles_done"] == layer.metadata[RESULT_KEY]["tiles"]
    dock.enhance_view()
    assert checked(qtbot, dock).kind == "done"  # and a check that of an enhancement
    assert dock.checker.found is not None
    qtbot.waitUntil(lambda: not dock.controller.busy, timeout=20000)


def test_what_is_known_goes_with_its_slide(enhance_dock: Dock, qtbot: Any, ome: Path) -> None:
    viewer, dock = enhance_dock(ome)
    checked(qtbot, dock)
    assert not dock.panel.check.isHidden()
    viewer.add_shapes()
    del viewer.layers[-1]
    assert not dock.panel.check.isHidden()
    del viewer.layers[0]
    assert dock.panel.check.isHidden()
    qtbot.waitUntil(lambda: not dock.panel.check_button.isEnabled(), timeout=5000)
    assert dock.panel.check_button.toolTip().startswith("Open a slide first.")


def test_an_oracle_proves_nothing(enhance_dock: Dock, qtbot: Any, ome: Path) -> None:
    _, dock = enhance_dock(ome)
    dock.form.reference.setCurrentIndex(dock.form.reference.findData("next"))
    checked(qtbot, dock)
    assert "ORACLE" in dock.panel.check.sentence.text()
    assert "better" not in dock.panel.check.sentence.text()


def test_figures_of_elsewhere_say_so(enhance_dock: Dock, qtbot: Any, svs: Path) -> None:
    viewer, dock = enhance_dock(svs)
    shown = dock.panel.check
    zoom_to(viewer, viewer.layers[0], 0.5)
    look_at(viewer, viewer.layers[0], 900, 1000)
    assert checked(qtbot, dock).kind == "done"
    found = dock.checker.found.check.sentence
    assert (shown.sentence.text(), shown.isEnabled()) == (found, True)
    for y, words in ((2500, f"Checked elsewhere on this slide. {found}"), (1010, found)):
        look_at(viewer, viewer.layers[0], 900, y)
        qtbot.waitUntil(lambda words=words: shown.sentence.text() == words, timeout=5000)
        assert shown.isEnabled() == (words == found)
