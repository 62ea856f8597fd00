"""A whole slide is written from the window: paused, continued, opened."""

from __future__ import annotations

import json
import shlex
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from export.whole_help import without_time

from napari_cwtnet.export.whole_slide import enhance_to_file
from napari_cwtnet.geometry import Region, Size
from napari_cwtnet.plugin.docks.whole_slide_form import WholeSlideForm
from napari_cwtnet.plugin.tasks import whole_slide as tasks
from napari_cwtnet.plugin.tasks.device import MODELS_IN_USE
from napari_cwtnet.plugin.tasks.whole_slide import look_at, note_place, place_for
from napari_cwtnet.plugin.viewer import requests
from napari_cwtnet.plugin.viewer.computed import is_computed
from napari_cwtnet.plugin.viewer.slide_layer import slide_of
from napari_cwtnet.plugin.viewer.whole_slide import (
    file_job,
    what_will_be_written,
    with_format,
    without_dicom,
)
from napari_cwtnet.slides import open_slide
from plugin.enhance_help import write_model

PATIENCE = 120_000


def form_of(qtbot: Any, dock: Any) -> WholeSlideForm:
    """The form, opened by its button, once it has suggested a place."""
    qtbot.waitUntil(dock.panel.whole_button.isEnabled, timeout=5000)
    dock.panel.whole_button.click()
    form: WholeSlideForm = dock.whole
    qtbot.waitUntil(lambda: bool(form.line.text()), timeout=10_000)
    return form


def go_to(qtbot: Any, form: WholeSlideForm, place: Path) -> None:
    """Name a place, and wait until it was looked at."""
    form.line.setText(str(place))
    qtbot.waitUntil(lambda: form._place is not None and form._place.path == place, timeout=10_000)


def finish(qtbot: Any, form: WholeSlideForm) -> str:
    """Start or resume, and wait for the end; gives its kind."""
    with qtbot.waitSignal(form.work.ended, timeout=PATIENCE) as blocker:
        form.start_button.click()
    return blocker.args[0].kind


def done_blocks(place: Path) -> int:
    """How many blocks the journal of an unfinished run has."""
    journal = place.with_name(f".{place.name}.partial") / "journal.jsonl"
    return journal.read_text(encoding="utf-8").count("\n") - 1 if journal.exists() else 0


@pytest.fixture
def strip(svs: Path, tmp_path: Path) -> Path:
    """1200 × 400 pixels of real tissue, which are two blocks at ×2."""
    with open_slide(svs) as slide:
        pixels = slide.read(Region(500, 1000, 1200, 400), 1.0)
        mpp = slide.mpp
    metadata = {"axes": "YXS", "PhysicalSizeX": mpp, "PhysicalSizeY": mpp}
    path = tmp_path / "strip.ome.tif"
    tifffile.imwrite(path, pixels, ome=True, tile=(256, 256), photometric="rgb", metadata=metadata)
    return path


def test_paused_and_resumed_it_has_the_bytes_of_one_run_and_is_opened(
    enhance_dock: Callable[..., Any],
    qtbot: Any,
    strip: Path,
    models: Path,
    tmp_path: Path,
    messages: list[str],
) -> None:
    write_model(models, "wide-x2", 2, seed=5, tile=128, halo=8)
    viewer, dock = enhance_dock(strip, "wide-x2")
    form = form_of(qtbot, dock)
    place = tmp_path / "whole.ome.zarr"
    go_to(qtbot, form, place)
    assert form.format.currentData() == ".ome.zarr"
    assert "2,400 × 800 pixels" in form.sentence.text()
    qtbot.waitUntil(lambda: "at most about" in form.sentence.text(), timeout=30_000)
    assert form.start_button.text() == "Start"

    with qtbot.waitSignal(form.work.ended, timeout=PATIENCE) as blocker:
        form.start_button.click()
        qtbot.waitUntil(
            lambda: done_blocks(place) == 1,
            timeout=PATIENCE,
        )
        assert "tiles ·" in form.status.text()
        assert "%" in dock.panel.whole_button.text()
        assert not form.line.isEnabled()
        form.pause_button.click()
    assert blocker.args[0].kind == "cancelled"
    assert not place.exists()
    assert form.status.text().startswith("Paused")
    qtbot.waitUntil(lambda: form.start_button.text() == "Resume", timeout=10_000)
    assert done_blocks(place) == 1

    before = len(viewer.layers)
    assert finish(qtbot, form) == "done"
    qtbot.waitUntil(lambda: len(viewer.layers) == before + 1, timeout=30_000)
    layer = viewer.layers[-1]
    assert is_computed(layer)
    assert slide_of(layer).path == place
    assert any(message.startswith("Written: whole.ome.zarr") for message in messages)
    assert dock.panel.whole_button.text() == "Whole slide…"

    other = tmp_path / "at-once.ome.zarr"
    enhance_to_file(file_job(form._job[0]), other)
    assert without_time(place) == without_time(other)


def test_a_place_is_remembered_and_an_unfinished_run_found_there_in_another_session(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, tmp_path: Path
) -> None:
    _, dock = enhance_dock(ome)
    form = form_of(qtbot, dock)
    assert form.place.name.startswith("pattern-computed-80x-")
    place = tmp_path / "later.ome.tif"
    go_to(qtbot, form, place)
    with qtbot.waitSignal(form.work.ended, timeout=PATIENCE):
        form.start_button.click()
        qtbot.waitUntil(lambda: form.work.run is not None, timeout=5000)
        qtbot.waitUntil(
            lambda: form.work.run is None or form.work.run.stage != "opening", timeout=PATIENCE
        )
        form.pause_button.click()
    _, later = enhance_dock(ome)
    again = form_of(qtbot, later)
    assert again.place == place
    qtbot.waitUntil(lambda: again._place is not None and again._place.path == place, timeout=5000)
    if place.exists():  # it was done before the pause came
        pytest.fail("the run was too quick to be paused")
    assert again.start_button.text() == "Resume"
    later.form.model.setCurrentText("other-x2")
    again = form_of(qtbot, later)
    assert again.place != place
    go_to(qtbot, again, place)
    assert finish(qtbot, again) == "failed"
    assert "resume it with the settings that it began with, or delete" in again.status.text()
    assert "--" not in again.status.text()
    later.form.model.setCurrentText("tiny-x2")
    again = form_of(qtbot, later)
    assert again.place == place
    qtbot.waitUntil(lambda: again.start_button.text() == "Resume", timeout=5000)
    assert finish(qtbot, again) == "done"
    assert place.exists()


def test_the_place_of_a_whole_slide_is_that_of_its_model_and_no_rois(
    enhance_dock: Callable[..., Any], ome: Path, tmp_path: Path, own_config: Path
) -> None:
    _, dock = enhance_dock(ome)
    dock.open_whole()
    job, _ = dock.whole._job
    old = {"outputs": {job.slide.fingerprint: str(tmp_path / "of-an-older-version.ome.tif")}}
    own_config.mkdir(exist_ok=True)
    (own_config / "slides.json").write_text(json.dumps(old), encoding="utf-8")
    coarser = replace(job, request=replace(job.request, downsample=2.0))
    other = replace(job, header=replace(job.header, name="other-x2"))
    note_place(job, tmp_path / "whole.ome.tif")
    note_place(replace(job, roi="ROI 1"), tmp_path / "roi.ome.tif")
    assert place_for(job) == tmp_path / "whole.ome.tif"
    kinds = [job, coarser, other, replace(job, roi="ROI 1")]
    suggested = [place_for(another) for another in kinds]
    assert {place.parent for place in suggested} == {tmp_path}
    assert len(set(suggested)) == len(kinds)
    assert all("-computed-" in place.name for place in suggested[1:])


@pytest.mark.parametrize(
    ("name", "words"),
    [("no/where.ome.tif", "does not exist"), ("a.jpg", "ends in .ome.tif, .ome.zarr or .dicom")],
)
def test_a_wrong_place_is_one_line_and_cannot_be_started(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, tmp_path: Path, name: str, words: str
) -> None:
    _, dock = enhance_dock(ome)
    form = form_of(qtbot, dock)
    go_to(qtbot, form, tmp_path / name)
    assert words in form.status.text()
    assert "\n" not in form.status.text()
    assert not form.start_button.isEnabled()


def test_dicom_is_offered_where_it_can_be_written(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    _, dock = enhance_dock(ome)
    form = form_of(qtbot, dock)
    form.line.setText(str(tmp_path / "a.ome.tif"))
    form.format.setCurrentIndex(form.format.findData(".dicom"))
    assert form.place == tmp_path / "a.dicom"
    qtbot.waitUntil(form.start_button.isEnabled, timeout=10_000)
    go_to(qtbot, form, tmp_path / "a.ome.zarr")
    assert form.format.currentData() == ".ome.zarr"
    assert "needs the pixel size" in look_at(tmp_path / "a.dicom", ome, Size(9, 9), None).trouble

    monkeypatch.setitem(sys.modules, "pydicom", None)
    without_dicom.cache_clear()
    other = WholeSlideForm(dock.panel, form._viewer)
    item = other.format.model().item(other.format.findData(".dicom"))
    assert not item.isEnabled()
    assert "napari-cwtnet[dicom]" in item.toolTip()
    without_dicom.cache_clear()


def test_what_is_there_of_another_kind_is_never_replaced(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path, tmp_path: Path, messages: list[str]
) -> None:
    _, dock = enhance_dock(ome)
    form = form_of(qtbot, dock)
    place = tmp_path / "a.ome.tif"
    go_to(qtbot, form, place)
    assert finish(qtbot, form) == "done"
    before = place.read_bytes()
    dock.form.model.setCurrentText("other-x2")
    form = form_of(qtbot, dock)
    go_to(qtbot, form, place)
    assert "It is there already" in form.status.text()
    assert finish(qtbot, form) == "failed"
    assert "of another kind" in form.status.text()
    assert "--" not in form.status.text()
    assert messages[-1] == form.status.text()
    assert place.read_bytes() == before
    damaged = tmp_path / "damaged.ome.tif"
    damaged.write_bytes(b"no image")
    go_to(qtbot, form, damaged)
    assert finish(qtbot, form) == "failed"
    assert form.status.text().endswith("Delete it to make it again, or choose another name.")


def test_a_large_region_points_to_the_form_which_offers_it(
    enhance_dock: Callable[..., Any],
    qtbot: Any,
    ome: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requests, "MAX_OUTPUT_PIXELS", 10_000)
    viewer, dock = enhance_dock(ome)
    corners = np.array([[50, 40], [250, 340]]) - 0.5
    viewer.add_shapes([corners], units=("um", "um"), scale=(0.25, 0.25))
    dock.show_all()
    assert "Whole slide…" in dock.roi_button.toolTip()
    form = form_of(qtbot, dock)
    form.what.setCurrentIndex(form.what.findData("ROI 1"))
    assert "600 × 400 pixels" in form.sentence.text()
    go_to(qtbot, form, tmp_path / "roi.ome.tif")
    words = shlex.split(form.copy_command())
    assert words[words.index("--region") + 1] == "40,50,300,200"
    assert words[-3:] == ["--output", str(tmp_path / "roi.ome.tif"), "--resume"]
    form.what.setCurrentIndex(0)
    go_to(qtbot, form, tmp_path / "all.ome.tif")
    words = shlex.split(form.copy_command())
    assert words[words.index("--region") + 1] == "all"


def test_the_timing_ends_with_another_choice_with_start_and_with_the_dock(
    enhance_dock: Callable[..., Any],
    qtbot: Any,
    ome: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "_TRIES", 1_000_000)  # longer than any test
    _, dock = enhance_dock(ome)

    def timing_thread_count() -> int:
        return sum(thread.name == "napari-cwtnet timing" for thread in threading.enumerate())

    def begun_in_place_of(before: Any) -> Any:
        qtbot.waitUntil(lambda: form.timing.run not in (None, before), timeout=10_000)
        run = form.timing.run
        qtbot.waitUntil(lambda: run.job.model in MODELS_IN_USE, timeout=10_000)
        assert timing_thread_count() == 1
        return run

    form = form_of(qtbot, dock)
    first = begun_in_place_of(None)
    form._on_what()
    begun_in_place_of(first)
    go_to(qtbot, form, tmp_path / "a.ome.tif")
    assert "being measured" in form.sentence.text()
    assert finish(qtbot, form) == "done"
    qtbot.waitUntil(lambda: timing_thread_count() == 0, timeout=10_000)
    assert "not known" in form.sentence.text()
    form._on_what()
    begun_in_place_of(None)
    dock.leave()
    qtbot.waitUntil(lambda: timing_thread_count() == 0, timeout=10_000)


def test_space_and_time_are_told_before(
    enhance_dock: Callable[..., Any], qtbot: Any, ome: Path
) -> None:
    _, dock = enhance_dock(ome)
    form = form_of(qtbot, dock)
    _, plan = form._job
    words = what_will_be_written(plan, Path("/a.ome.tif"), 10.0)
    assert f"{plan.lattice.tile_count} tiles" in words
    assert len(plan.tiles) == plan.lattice.tile_count
    assert "while it is made" in words
    assert "while it is made" not in what_will_be_written(plan, Path("/a.ome.zarr"), None)
    assert "being measured" in what_will_be_written(plan, Path("/a.ome.zarr"), None)
    assert with_format(Path("/b/a.ome.zarr"), ".ome.tif") == Path("/b/a.ome.tif")
