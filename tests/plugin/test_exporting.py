"""What the Enhance dock writes, copies and reads; the command line makes the same pixels."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from qtpy.QtWidgets import QApplication, QLabel

from napari_cwtnet.enhancement import enhance
from napari_cwtnet.plugin.docks.result_form import ResultForm, renamed, target
from napari_cwtnet.plugin.reader import reopened, replace_in
from napari_cwtnet.plugin.tasks.whole_slide import file_name
from napari_cwtnet.plugin.viewer.command_line import exact_region
from napari_cwtnet.plugin.viewer.computed import RESULT_KEY
from napari_cwtnet.plugin.viewer.export import suggested_name
from napari_cwtnet.plugin.viewer.selection import source_of
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.plugin.viewer.slides_shown import show_slide
from napari_cwtnet.slides import open_slide
from plugin.enhance_help import finish, results, write_model

AWKWARD = "it's a slide; $HOME & more.ome.tif"


@pytest.fixture
def enhanced(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, tmp_path: Path
) -> tuple[Any, Any, Any]:
    """Viewer, dock and a finished result of a slide with a name that a shell stumbles over."""
    path = tmp_path / AWKWARD
    shutil.copy(ome, path)
    viewer, dock = enhance_dock(path, "tiny-x4", 2.0)
    viewer.scene.camera.zoom *= 3
    finish(qtbot, dock)
    return viewer, dock, results(viewer)[0]


def export(qtbot: Any, form: ResultForm, path: Path, **options: Any) -> None:
    with qtbot.waitSignal(form.exporter.ended, timeout=20000):
        form.export_to(path, **options)


def shown_labels(dock: Any) -> list[QLabel]:
    return [label for label in dock.findChildren(QLabel) if not label.isHidden()]


def in_a_shell(line: str, folder: Path) -> None:
    """Run a copied line as a person would, with as many threads as the machine offers."""
    environment = dict(os.environ)
    environment.pop("OMP_NUM_THREADS", None)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_copied_command_makes_the_same_bytes(
    enhanced: tuple[Any, Any, Any], qtbot: Any, tmp_path: Path, messages: list[str]
) -> None:
    _, dock, layer = enhanced
    line = dock.result.copy_command()
    assert QApplication.clipboard().text() == line
    assert messages == [f"Copied: {line}"]
    assert [one.text() for one in dock.findChildren(QLabel) if line in one.text()] == []
    assert line.startswith("napari-cwtnet enhance ")
    words = shlex.split(line)
    assert words[2] == str(tmp_path / AWKWARD)
    assert words[words.index("--model") + 1] == "tiny-x4"
    in_a_shell(line.replace("enhanced.ome.tif", "shell.png"), tmp_path)
    export(qtbot, dock.result, tmp_path / "dock.png")
    with Image.open(tmp_path / "shell.png") as shell, Image.open(tmp_path / "dock.png") as window:
        assert np.array_equal(np.asarray(shell), layer.data[..., :3])
        assert np.array_equal(np.asarray(shell), np.asarray(window))
        ours, theirs = json.loads(window.text["Comment"]), json.loads(shell.text["Comment"])
    assert ours.pop("time")
    assert theirs.pop("time")
    assert ours == theirs


def test_sharpness_makes_the_same_bytes_in_dock_python_and_shell(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, models: Path, tmp_path: Path
) -> None:
    write_model(models, "told-x2", 2, seed=4, conditioning=16)
    viewer, dock = enhance_dock(ome, "told-x2")
    viewer.scene.camera.zoom *= 3
    combo, pictures = dock.form.sharpness, {}
    for value in ("auto", "soft"):
        combo.setCurrentIndex(combo.findData(value))
        finish(qtbot, dock)
        (layer,) = results(viewer)
        assert layer.metadata[RESULT_KEY]["sharpness"] == value
        pictures[value] = layer.data[..., :3].copy()
        assert ("--sharpness soft" in dock.result.copy_command()) == (value == "soft")
    assert (pictures["auto"] != pictures["soft"]).any()
    region = layer.metadata[RESULT_KEY]["region"]
    model = models / "told-x2.safetensors"
    direct = enhance(slide_of(viewer.layers[0]), region, 1, model=model, sharpness="soft")
    assert np.array_equal(direct.image, pictures["soft"])
    line = dock.result.copy_command()
    in_a_shell(line.replace("enhanced.ome.tif", "shell.png"), tmp_path)
    with Image.open(tmp_path / "shell.png") as shell:
        assert np.array_equal(np.asarray(shell), pictures["soft"])


def test_the_command_has_what_the_slide_dock_set(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    viewer.scene.camera.zoom *= 3
    plain = dock.result.copy_command()  # of the view, before there is a result
    region = dock._view_source().plan.region
    assert f"--region {exact_region(region)} --downsample 1 --model tiny-x2" in plain
    assert "--mpp" not in plain
    assert "--no-icc" not in plain
    finish(qtbot, dock)
    viewer.scene.camera.zoom *= 2
    assert dock.result.copy_command() == plain  # the result's now, wherever one looks
    slide_layer = viewer.layers[0]
    replace_in(viewer, slide_layer, reopened(slide_of(slide_layer), mpp=0.3, icc=True))
    assert dock.result.copy_command() == plain.replace(" --output", " --mpp 0.3 --output")


def test_regions_are_written_to_the_last_digit() -> None:
    from napari_cwtnet.geometry import Region

    region = Region(123456.123456789, 1 / 3, 2.0, 1e5)
    assert Region.parse(exact_region(region)) == region
    assert exact_region(Region(1, 2, 3, 4.5)) == "1,2,3,4.5"


@pytest.mark.parametrize("name", ["a.ome.tif", "a.png", "a.ome.zarr", "a.dicom"])
def test_export_writes_the_layer_and_its_record(
    enhanced: tuple[Any, Any, Any], qtbot: Any, tmp_path: Path, messages: list[str], name: str
) -> None:
    _, dock, layer = enhanced
    steps: list[tuple[int, int]] = []
    dock.result.exporter.changed.connect(lambda: steps.append(dock.result.exporter.progress))
    export(qtbot, dock.result, tmp_path / name)
    assert messages[-1] == f"Written: {name}, and its record {name}.json"
    assert steps[-1][0] == steps[-1][1] > 0
    assert "Writing…" not in [one.text() for one in shown_labels(dock)]
    record = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    known = layer.metadata[RESULT_KEY]
    assert record["region"] == known["region"]
    assert record["quality"] == known["quality"]
    assert AWKWARD[:10] not in json.dumps(record)
    if not name.endswith("zarr"):
        with open_slide(tmp_path / name) as slide:
            assert np.array_equal(slide.read(slide.bounds, 1), layer.data[..., :3])
            assert slide.computed == known["badge"]
    if name.endswith("png"):
        export(qtbot, dock.result, tmp_path / name, badge_on_pixels=True)
        with Image.open(tmp_path / name) as picture:
            changed = (np.asarray(picture) != layer.data[..., :3]).any(axis=(1, 2))
        assert changed[:5].any()
        assert not changed[len(changed) // 2 :].any()


def test_what_cannot_be_exported_is_said(
    enhanced: tuple[Any, Any, Any], messages: list[str], qtbot: Any, tmp_path: Path
) -> None:
    viewer, dock, layer = enhanced
    form, slide_bytes = dock.result, (tmp_path / AWKWARD).read_bytes()
    for path, words in (
        (tmp_path / "a.jpg", "unknown ending"),
        (tmp_path / "no" / "a.png", "does not exist"),
        (tmp_path / AWKWARD, "is the slide itself"),
    ):
        form.export_to(path)
        assert words in messages[-1]
    layer.metadata[RESULT_KEY]["tiles_done"] = 1
    form.export_to(tmp_path / "a.png")
    assert "not complete (1 of" in messages[-1]
    viewer.layers.remove(layer)
    form.export_to(tmp_path / "a.png")
    assert "There is no result" in messages[-1]
    assert not form.exporter.busy
    assert [path.name for path in tmp_path.glob("a.*")] == []
    assert (tmp_path / AWKWARD).read_bytes() == slide_bytes


def test_a_disk_error_is_one_line(
    enhanced: tuple[Any, Any, Any], messages: list[str], qtbot: Any, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource", reason="file size limits need a POSIX system")
    _, dock, _ = enhanced
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        export(qtbot, dock.result, tmp_path / "a.ome.tif")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "free some space" in messages[-1]
    assert dock.result.export_button.isEnabled()
    assert not (tmp_path / "a.ome.tif").exists()


def test_names_and_kinds(
    enhanced: tuple[Any, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, layer = enhanced
    known = layer.metadata[RESULT_KEY]
    source = source_of(layer)
    # LR at 0.5 µm/px, fourfold.
    x, y = (round(value) for value in known["region"][:2])
    name = f"it-s-a-slide---HOME---more-at-{x}-{y}-computed-80x-tiny-x4-downsample-2.ome.tif"
    assert suggested_name(source) == name
    assert file_name(source.job, source.plan) == name.replace(f"at-{x}-{y}-", "")
    assert known["slide_fingerprint"][:8] not in name
    uid = "1.2.840.113619.2.55.3.2831868886.123.1467000000.4"  # names a folder
    names = set()
    for folder in (tmp_path / f"{uid}{end}" for end in range(1, 4)):
        folder.mkdir()
        monkeypatch.setattr(source.job.slide, "_path", folder)
        names.add(suggested_name(source))
        assert suggested_name(source).startswith(folder.name.replace(".", "-"))
    assert len(names) == 3
    unknown = replace(source, plan=replace(source.plan, native_mpp=None))
    assert "-computed-x4-tiny-x4-" in suggested_name(unknown)
    assert renamed("a.b.ome.zarr", "OME-TIFF, a pyramid (*.ome.tif)") == "a.b.ome.tif"
    assert renamed("a.ome.tif", "DICOM, a folder for archives (*.dicom)") == "a.dicom"
    assert renamed("a.dicom", "OME-TIFF, a pyramid (*.ome.tif)") == "a.ome.tif"
    assert target(Path("a.png"), "PNG, a picture with the badge on it (*.png)").badge_on_pixels
    assert not target(Path("a.png"), "PNG, pixels only (*.png)").badge_on_pixels
    assert target(Path("a.png"), "OME-TIFF, a pyramid (*.ome.tif)").badge_on_pixels
    assert not target(Path("a.ome.tif"), "PNG, pixels only (*.png)").badge_on_pixels


def test_tifffile_reads_what_the_dock_wrote(
    enhanced: tuple[Any, Any, Any], qtbot: Any, tmp_path: Path
) -> None:
    _, dock, layer = enhanced
    export(qtbot, dock.result, tmp_path / "a.ome.tif")
    assert np.array_equal(tifffile.imread(tmp_path / "a.ome.tif"), layer.data[..., :3])


def test_a_figure_of_what_is_in_view(
    enhanced: tuple[Any, Any, Any], qtbot: Any, tmp_path: Path, messages: list[str]
) -> None:
    viewer, dock, layer = enhanced
    viewer.scene.camera.zoom *= 2  # half of the result is in view
    dock.result.figure_to(tmp_path / "figure.png")
    assert not dock.result.figure_button.isEnabled()
    qtbot.waitUntil(lambda: "Written: figure.png" in messages, timeout=60000)
    qtbot.waitUntil(dock.result.figure_button.isEnabled, timeout=60000)
    with Image.open(tmp_path / "figure.png") as picture:
        record = json.loads(picture.info["Comment"])
        shown = np.asarray(picture.convert("RGB"))
    assert record["region"] == layer.metadata[RESULT_KEY]["region"]
    assert AWKWARD not in (tmp_path / "figure.png").read_bytes().decode("latin-1")
    height, width = layer.data.shape[:2]
    middle = layer.data[height // 2, width // 2, :3]
    assert (shown == middle).all(axis=2).any()
    corner = layer.data[2:6, 2:6, :3].reshape(-1, 3)
    assert not all((shown == pixel).all(axis=2).any() for pixel in corner)  # out of view
    dock.result.figure_to(tmp_path / "figure.gif")
    assert "choose .png or .pdf" in messages[-1]


def test_a_snapshot_has_the_scale_bar(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, tmp_path: Path, messages: list[str]
) -> None:
    viewer, dock = enhance_dock(ome, show=True)
    viewer.canvas.overlays.scale_bar.visible = False
    qtbot.wait(300)
    bare = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    dock.result.snapshot_to(tmp_path / "a.png")
    qtbot.waitUntil(lambda: "Written: a.png" in messages, timeout=60000)
    with Image.open(tmp_path / "a.png") as picture:
        seen = np.asarray(picture.convert("RGB"))
    assert seen.shape == bare.shape
    height, width = bare.shape[:2]
    differs = (seen != bare).any(axis=2)
    assert differs[height * 3 // 4 :, width // 2 :].sum() > 100
    assert not differs[: height // 2].any()
    assert not viewer.canvas.overlays.scale_bar.visible  # as it was


def test_nothing_can_be_pressed_that_must_fail(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, svs: Path
) -> None:
    viewer, dock = enhance_dock(ome)
    form = dock.result
    makers = (form.export_button, form.figure_button, form.keep_button)
    assert not any(button.isEnabled() for button in makers)
    assert "enhance the view" in form.export_button.toolTip()
    assert form.copy_button.isEnabled()
    form._show_rois()
    assert not form.export_action.isEnabled()
    viewer.scene.camera.zoom *= 8
    finish(qtbot, dock)
    assert all(button.isEnabled() for button in makers)
    places = [button.pos() for button in makers]
    form.keep()
    assert not form.keep_button.isEnabled()
    assert "kept already" in form.keep_button.toolTip()
    assert [button.pos() for button in makers] == places
    first, result = viewer.layers
    viewer.open(svs, plugin="napari-cwtnet")
    show_slide(viewer, viewer.layers[-1])
    assert not result.visible
    assert not any(button.isEnabled() for button in (*makers, *dock.compare.buttons.values()))
    show_slide(viewer, first)
    assert form.export_button.isEnabled()
    viewer.layers.clear()
    assert not any(button.isEnabled() for button in makers)
    assert not form.copy_button.isEnabled()
    assert not form.snapshot_button.isEnabled()
