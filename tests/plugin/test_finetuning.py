"""Runs in the dock: from start to the models list, paused, stopped, resumed, refused, failed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_cwtnet.model import list_models, load_model
from napari_cwtnet.plugin.tasks.device import ARBITER
from napari_cwtnet.plugin.tasks.finetune import FinetuneJob, FinetuneRun
from napari_cwtnet.plugin.viewer.finetune_request import finetune_plan
from napari_cwtnet.plugin.viewer.wording import gain_words
from napari_cwtnet.training.run_folder import RunLock, RunLog, read_run, unfinished_runs
from plugin.finetune_help import finish, progress_in, wait_for_step, write_start

Dock = Callable[..., Any]


def rest(qtbot: Any, run: FinetuneRun, monkeypatch: pytest.MonkeyPatch) -> tuple[int, float]:
    """Step and seconds once the step at hand is done, however long that takes."""
    paused, heard = FinetuneRun.paused.fget, threading.Event()

    def noted(asked: FinetuneRun) -> bool:
        found = paused(asked)
        if found and threading.current_thread() is run._thread:
            heard.set()
        return found

    monkeypatch.setattr(FinetuneRun, "paused", property(noted))
    qtbot.waitUntil(heard.is_set, timeout=60000)
    return run.step, run.seconds


def start_and_hold(qtbot: Any, dock: Any, meanwhile: Callable[[], Any]) -> None:
    """Start a run that has read all it reads, and measured nothing, when ``meanwhile`` happens."""
    with ARBITER.priority():
        dock.start()
        run = dock.controller.run
        qtbot.waitUntil(lambda: run.phase != "loading", timeout=60000)
        meanwhile()


def test_from_start_to_the_models_list(
    tune_dock: Dock, qtbot: Any, models: Path, runs: Path
) -> None:
    viewer, dock = tune_dock("start", steps=60, validate_every=20, learning_rate=1e-2)
    _, enhance = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Enhance")
    names = [enhance.form.model.itemText(i) for i in range(enhance.form.model.count())]
    assert "start-tuned" not in names
    outcome = finish(qtbot, dock)
    assert (outcome.kind, outcome.step, outcome.installed) == ("done", 60, "start-tuned")
    names = [enhance.form.model.itemText(i) for i in range(enhance.form.model.count())]
    assert "start-tuned" in names
    assert dock.form.name.placeholderText() == "start-tuned-2"
    made = load_model("start-tuned")
    assert made.path == models / "start-tuned.safetensors"
    assert made.provenance["parent"]["name"] == "start"
    run = dock.controller.run
    assert [one.step for one in run.history.validations] == [0, 20, 40, 60]
    start, best = run.history.start, run.history.best
    assert best.psnr == pytest.approx(made.provenance["validation_psnr"], abs=1e-3)
    assert best.psnr > start.psnr + 0.3
    assert f"+{best.psnr - start.psnr:.2f} dB over the start model" in dock.panel.gain.text()
    assert dock.status.endswith("start-tuned is in the models list now.")
    assert (runs / "start-tuned" / "start-tuned.safetensors").exists()
    enhance.form.model.setCurrentText("start-tuned")
    assert enhance.form.choice.model == "start-tuned"
    enhance.form.level.setCurrentIndex(1)  # at this zoom there is nothing to gain otherwise
    assert enhance.view_button.isEnabled()


def test_curves_and_preview_show_the_run(tune_dock: Dock, qtbot: Any) -> None:
    viewer, dock = tune_dock("start", steps=6)
    viewer.show(block=False)
    finish(qtbot, dock)
    qtbot.wait(50)
    run, panel = dock.controller.run, dock.panel
    steps, losses = panel.curves.loss.getData()
    assert list(steps) == [1, 2, 3, 4, 5, 6]
    assert (losses > 0).all()
    at, values = panel.curves.psnr.getData()
    assert list(at) == [0, 3, 6]
    assert list(values) == [one.psnr for one in run.history.validations]
    assert panel.curves.bicubic_line.value() == run.history.start.psnr_bicubic
    assert panel.curves.start_line.value() == run.history.start.psnr
    for plot, words in ((panel.curves.loss_plot, "Loss"), (panel.curves.psnr_plot, "PSNR (dB)")):
        assert plot.getAxis("left").labelText == words
    assert panel.strip.captions == [
        "LR",
        f"Before · {run.latest_preview.before:.2f} dB",
        f"Now · {run.latest_preview.now:.2f} dB",
        "Truth",
    ]
    assert panel.strip.height() > 200
    colours = {panel.strip.grab().toImage().pixelColor(x, 40).rgb() for x in range(0, 240, 5)}
    assert len(colours) > 3


def test_paused_run_rests_and_goes_on(
    tune_dock: Dock, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, dock = tune_dock()
    dock.start()
    run = wait_for_step(qtbot, dock, 2)
    dock.panel.pause_button.click()
    assert dock.panel.pause_button.text() == "Go on"
    step, seconds = rest(qtbot, run, monkeypatch)
    qtbot.waitUntil(lambda: dock.status == f"Paused at step {step}", timeout=5000)
    qtbot.wait(400)
    assert (run.step, run.seconds) == (step, seconds)
    dock.panel.pause_button.click()
    wait_for_step(qtbot, dock, step + 1)
    assert dock.panel.pause_button.text() == "Pause"
    dock.panel.pause_button.click()
    assert finish(qtbot, dock, dock.panel.stop_button.click).kind == "stopped"


def test_stopped_within_a_step_and_resumed(tune_dock: Dock, qtbot: Any, runs: Path) -> None:
    _, dock = tune_dock(learning_rate=1e-7, validate_every=100)
    dock.start()
    run = wait_for_step(qtbot, dock, 5)
    steps = []

    def stop() -> None:
        dock.panel.stop_button.click()
        steps.append(run.step)  # after it: the thread may be steps ahead of what was seen before

    outcome = finish(qtbot, dock, stop)
    assert outcome.kind == "stopped"
    assert steps[0] <= outcome.step <= steps[0] + 1
    assert [one.step for one in run.history.validations] == [0, outcome.step]
    folder = runs / "tiny-x2-tuned"
    assert progress_in(folder)["step"] == outcome.step
    (found,) = unfinished_runs(runs)
    assert (found.path, found.step) == (folder, outcome.step)
    so_far = f"step {outcome.step}, {found.share:.0%}"  # 1 % is six seconds: steps can be slow
    assert dock.panel.resume_button.isEnabled()
    dock._menu.fill()
    assert dock._menu.actions()[0].text().startswith(f"tiny-x2-tuned · {so_far} ·")
    dock._menu.actions()[0].trigger()
    taken_up = f"step {outcome.step}, where {found.share:.0%} of its budget was used"
    assert dock.sentence.startswith(f"Goes on with tiny-x2-tuned from {taken_up}")
    again = wait_for_step(qtbot, dock, outcome.step + 2)
    assert [one.step for one in again.history.validations] == [0, outcome.step]
    assert gain_words(again.history) == gain_words(run.history)
    finish(qtbot, dock, dock.panel.stop_button.click)
    steps = [row["step"] for row in RunLog(folder / "log.csv").rows()]
    assert steps == [0, outcome.step, again.step]


def test_nothing_is_added_where_nothing_was_gained(
    tune_dock: Dock, qtbot: Any, models: Path
) -> None:
    _, dock = tune_dock(steps=6, learning_rate=0.3)
    known = list_models()
    outcome = finish(qtbot, dock)
    assert (outcome.kind, outcome.installed) == ("done", None)
    assert list_models() == known
    assert dock.status.endswith("Nothing was better than the start model, so no model was added.")
    assert "So far the start model is the best." in dock.panel.gain.text()


def test_a_budget_that_is_too_short_for_a_step_is_told(tune_dock: Dock, qtbot: Any) -> None:
    _, dock = tune_dock()
    plan = finetune_plan(dock.form.choice)
    recipe = plan.recipe.model_copy(update={"minutes": 1e-6})
    outcome = finish(
        qtbot, dock, lambda: dock.controller.start(FinetuneJob(plan.job.output, recipe))
    )
    assert (outcome.kind, outcome.step, outcome.installed) == ("done", 0, None)
    assert dock.status.endswith("took all the time there was; give more minutes.")


def test_a_second_start_is_refused(tune_dock: Dock, qtbot: Any, messages: list[str]) -> None:
    _, dock = tune_dock()
    dock.start()
    run = wait_for_step(qtbot, dock, 1)
    assert not dock.panel.start_button.isVisibleTo(dock)
    dock.start()
    dock.resume(run.job.output)
    assert messages == ["A fine-tuning is running in this dock; stop it first, or wait."] * 2
    assert dock.controller.run is run
    finish(qtbot, dock, dock.stop)


def test_a_run_that_others_work_at_is_refused(
    tune_dock: Dock, qtbot: Any, runs: Path, messages: list[str]
) -> None:
    _, dock = tune_dock(steps=3)
    finish(qtbot, dock)
    folder = runs / "tiny-x2-tuned"
    kept = (folder / "last.safetensors").read_bytes()
    lock = RunLock(folder)
    lock.acquire()
    outcome = finish(qtbot, dock, lambda: dock.resume(folder))
    assert outcome.kind == "failed"
    assert messages == [outcome.message] == [dock.status]
    assert outcome.message.startswith(f"Another run is using {folder}; wait for it")
    lock.release()
    assert finish(qtbot, dock, lambda: dock.resume(folder)).kind == "done"
    assert (folder / "last.safetensors").read_bytes() == kept


def test_loss_that_is_no_number_ends_the_run_and_keeps_its_last_state(
    tune_dock: Dock, qtbot: Any, models: Path, runs: Path, messages: list[str]
) -> None:
    _, dock = tune_dock(learning_rate=1e30, validate_every=1)
    known = list_models()
    outcome = finish(qtbot, dock)
    assert outcome.kind == "failed"
    assert messages == [outcome.message] == [dock.status]
    assert outcome.message.startswith("The ")
    assert "is nan at step" in outcome.message
    assert "the last checkpoint is kept. Lower learning_rate" in outcome.message
    assert "\n" not in outcome.message
    assert list_models() == known
    folder = runs / "tiny-x2-tuned"
    assert read_run(folder).step <= outcome.step
    first, second = (
        load_model(path)
        for path in (models / "tiny-x2.safetensors", folder / "tiny-x2-tuned.safetensors")
    )
    parameters = zip(first.network.parameters(), second.network.parameters(), strict=True)
    assert all((a == b).all() for a, b in parameters)
    assert not dock.controller.busy
    dock.panel.new_button.click()
    assert dock.panel.start_button.isVisibleTo(dock)


def test_a_name_that_was_taken_meanwhile(
    tune_dock: Dock, qtbot: Any, models: Path, runs: Path, messages: list[str]
) -> None:
    _, dock = tune_dock("start", steps=60, validate_every=30, learning_rate=1e-2)
    start_and_hold(qtbot, dock, lambda: write_start(models, "start-tuned"))
    other = (models / "start-tuned.safetensors").read_bytes()
    outcome = finish(qtbot, dock, lambda: None)
    assert (outcome.kind, outcome.installed) == ("failed", None)
    kept = runs / "start-tuned" / "start-tuned.safetensors"
    assert messages == [outcome.message]
    assert outcome.message.startswith("Model 'start-tuned' exists")
    assert outcome.message.endswith(f"The best model is {kept}.")
    assert load_model(kept).provenance["step"] > 0
    assert (models / "start-tuned.safetensors").read_bytes() == other


def test_full_disk_is_told_and_keeps_the_last_state(
    tune_dock: Dock, qtbot: Any, runs: Path, messages: list[str]
) -> None:
    resource = pytest.importorskip("resource", reason="file size limits need a POSIX system")
    _, dock = tune_dock()
    dock.start()
    wait_for_step(qtbot, dock, 1)
    folder = runs / "tiny-x2-tuned"
    size = (folder / "last.safetensors").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
    try:
        outcome = finish(qtbot, dock, lambda: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert outcome.kind == "failed"
    assert "free some space or choose another output" in outcome.message
    assert messages == [outcome.message]
    assert progress_in(folder)["step"] <= outcome.step


def test_run_whose_folder_is_deleted_ends_and_makes_room_for_another(
    tune_dock: Dock, qtbot: Any, runs: Path, messages: list[str]
) -> None:
    _, dock = tune_dock("start", learning_rate=1e-2, validate_every=10)
    dock.start()
    run = dock.controller.run
    gained = lambda: run.history.best is not None and run.history.best.step > 0  # noqa: E731
    qtbot.waitUntil(gained, timeout=60000)  # told after it is on disk
    (runs / "start-tuned").rename(runs / "elsewhere")
    outcome = finish(qtbot, dock, lambda: None)
    assert (outcome.kind, outcome.installed) == ("failed", None)
    assert messages == [outcome.message]
    assert str(runs / "start-tuned") in outcome.message
    assert not dock.controller.busy
    dock.resume(runs / "elsewhere")
    wait_for_step(qtbot, dock, 1)
    outcome = finish(qtbot, dock, dock.stop)
    assert outcome.step >= 10  # where the folder had it
    assert outcome.installed == "start-tuned"


def test_slide_removed_and_its_file_deleted(tune_dock: Dock, qtbot: Any, learnable: Path) -> None:
    viewer, dock = tune_dock(steps=12)
    start_and_hold(qtbot, dock, lambda: (viewer.layers.clear(), learnable.unlink()))
    outcome = finish(qtbot, dock, lambda: None)
    assert (outcome.kind, outcome.step) == ("done", 12)
    dock.panel.choices_button.setChecked(True)
    assert dock.sentence.startswith("Tick a slide to learn from")
    assert not dock.panel.start_button.isEnabled()


def test_run_that_is_abandoned_while_it_reads_slides(
    models: Path, runs: Path, learnable: Path, tune_dock: Dock, qtbot: Any
) -> None:
    from napari_cwtnet.plugin.viewer.finetune_request import finetune_plan

    _, dock = tune_dock()
    run = FinetuneRun(FinetuneJob(runs / "other", finetune_plan(dock.form.choice).recipe))
    run.cancel()
    run.start()
    run.join(20)
    assert run.outcome is not None
    assert (run.outcome.kind, run.outcome.step) == ("closed", 0)
    assert not (runs / "other").exists()
