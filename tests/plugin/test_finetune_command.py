"""The line that the Fine-tune dock copies plans the same run in a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QApplication

from napari_cwtnet.cli.arguments import build_parser
from napari_cwtnet.cli.finetune import _fresh
from napari_cwtnet.plugin.viewer.finetune_request import finetune_plan

Dock = Callable[..., Any]
_NOT_YET = {"start": {"sha256"}, "slides": {"__all__": {"fingerprint", "icc"}}}
"""What a plan does not read files for; a slide without a profile has no colours to convert."""


def test_the_copied_command_plans_the_same_run(tune_dock: Dock, runs: Path) -> None:
    _, dock = tune_dock(steps=7)
    dock.form.minutes.setValue(3)
    dock.form.sharpness.setCurrentIndex(dock.form.sharpness.findData("soft"))
    dock.panel.copy_button.click()
    program, *words = shlex.split(QApplication.clipboard().text())
    assert program == "napari-cwtnet"
    arguments = build_parser().parse_args(words)
    plan = finetune_plan(dock.form.choice)
    typed = _fresh(arguments)
    assert typed.model_dump(exclude=_NOT_YET) == plan.recipe.model_dump(exclude=_NOT_YET)
    assert (typed.steps, typed.minutes, typed.batch) == (7, 3, 2)
    assert [slide.sharpness for slide in typed.slides] == ["soft"]
    assert arguments.output == plan.job.output
    assert arguments.name == plan.recipe.name


def test_shapes_are_more_than_a_line_can_say(tune_dock: Dock, messages: list[str]) -> None:
    viewer, dock = tune_dock()
    viewer.add_shapes([[[0, 0], [96, 350]]], name="here", units=("um", "um"))
    combo = dock.form.regions
    combo.setCurrentIndex(combo.findText("shapes of here"))
    assert dock.copy_command() is None
    assert "recipe.yaml" in messages[-1]
