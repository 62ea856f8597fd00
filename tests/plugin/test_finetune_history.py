"""What is drawn and said of a run follows from what was measured."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cwtnet.plugin.docks.curves import Curves
from napari_cwtnet.plugin.docks.finetune import FinetunePanel
from napari_cwtnet.plugin.tasks.finetune import FinetuneJob, FinetuneRun
from napari_cwtnet.plugin.tasks.finetune_history import MOST_LOSSES, History, main_figures
from napari_cwtnet.plugin.viewer.wording import finetune_progress_words, gain_words
from napari_cwtnet.training.events import Validation


def history_of(*validations: Validation) -> History:
    history = History()
    for one in validations:
        history.add(one)
    return history


def test_gain_in_words() -> None:
    start = Validation(0, 29.79, 27.61, None, None, True)
    worse = Validation(100, 29.5, 27.61, None, None, False)
    better = Validation(200, 30.5, 27.61, None, None, True)
    assert gain_words(History()) == ""
    assert gain_words(history_of(start, worse)) == (
        "PSNR 29.79 dB on held-out fields: +2.18 dB over bicubic\n"
        "So far the start model is the best."
    )
    assert gain_words(history_of(start, worse, better)) == (
        "PSNR 30.50 dB on held-out fields: +0.71 dB over the start model, +2.89 dB over bicubic"
    )


def test_the_first_measurement_names_no_share_before_there_is_one(tmp_path: Path) -> None:
    run = FinetuneRun(FinetuneJob(tmp_path))
    run.phase = "measuring"
    assert finetune_progress_words(run) == "Measuring the start model on held-out fields…"
    run.measured = (1, 16)
    assert finetune_progress_words(run) == "Measuring the start model on held-out fields: 1 of 16"


def test_the_bar_moves_while_slides_are_read(qtbot: Any, tmp_path: Path) -> None:
    panel = FinetunePanel()
    qtbot.addWidget(panel)
    run = FinetuneRun(FinetuneJob(tmp_path))
    panel.show_run(run, busy=True)
    assert panel.bar.maximum() == 0  # Qt moves it to and fro
    run.phase, run.share = "training", 0.25
    panel.show_run(run, busy=True)
    assert panel.bar.value() == 0.25 * panel.bar.maximum() > 0


def test_gain_in_both_modes() -> None:
    start = Validation(0, 24.0, 23.0, 30.0, 29.0, True)
    better = Validation(100, 24.5, 23.0, 31.0, 29.0, True)
    words = gain_words(history_of(start, better)).splitlines()
    assert words[0].startswith("Cross-scale PSNR 31.00 dB on held-out fields: +1.00 dB over the")
    assert words[0].endswith("+2.00 dB over bicubic of the reference")
    assert words[1].endswith("+1.50 dB over bicubic")
    assert words[1].startswith("Single-image PSNR 24.50 dB on held-out fields: +0.50 dB over the")
    assert main_figures(better) == (31.0, 29.0)


def test_plot_names_the_mode_that_it_draws(qtbot: Any) -> None:
    curves = Curves()
    qtbot.addWidget(curves)
    curves.show()
    for start, axis, words in (
        (
            Validation(0, 24.0, 23.0, 30.0, 29.0, True),
            "Cross-scale PSNR (dB)",
            "bicubic of the ref",
        ),
        (Validation(0, 24.0, 23.0, None, None, True), "PSNR (dB)", "bicubic 23.00"),
        (Validation(0, math.inf, math.inf, None, None, True), "PSNR (dB)", "bicubic inf"),
    ):
        curves.show_history(history_of(start))
        assert curves.psnr_plot.getAxis("left").labelText == axis
        assert curves.bicubic_line.label.format.startswith(words)


def test_start_model_is_what_was_measured_before_the_first_step() -> None:
    history = history_of(Validation(300, 25.0, 23.0, None, None, True))  # the log was lost
    assert history.start is None
    assert gain_words(history) == ""


def test_reference_that_is_the_truth_says_nothing() -> None:
    start = Validation(0, 24.0, 23.0, 50.0, math.inf, True)
    assert main_figures(start) == (24.0, 23.0)
    assert gain_words(history_of(start)).startswith("PSNR 24.00 dB")


@pytest.mark.parametrize("paired", [False, True])
def test_log_that_is_taken_up_judges_as_the_trainer_did(paired: bool) -> None:
    figures = [(25.0, 30.0), (24.9, 31.0), (26.0, 29.9), (25.0, 30.1), (25.5, 30.0)]
    rows = [
        {
            "step": 10.0 * number,
            "psnr": alone,
            "bicubic": 20.0,
            "with_reference": both if paired else None,
            "reference_bicubic": 28.0 if paired else None,
            "loss": 0.1 * number if number else None,
        }
        for number, (alone, both) in enumerate(figures)
    ]
    history = History()
    history.take_up(rows)
    best = [one.best for one in history.validations]
    # alone: never below 25.0, and each better than the best before it
    assert best == (
        [True, False, False, True, True] if paired else [True, False, True, False, False]
    )
    steps, losses = history.losses()
    assert list(steps) == [10, 20, 30, 40]
    assert losses == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_long_runs_are_drawn_by_few_points_of_the_same_mean() -> None:
    history, values = History(), np.sin(np.arange(1, 10_001) / 50) + 2
    for step, value in enumerate(values, 1):
        history.add_loss(step, value)
    steps, losses = history.losses()
    assert MOST_LOSSES / 2 <= len(steps) < MOST_LOSSES
    each = 2 ** round(math.log2(10_000 / len(steps)))
    used = len(steps) * each
    assert 10_000 - each < used <= 10_000
    np.testing.assert_allclose(losses, values[:used].reshape(-1, each).mean(1))
    np.testing.assert_allclose(np.diff(steps), each)
