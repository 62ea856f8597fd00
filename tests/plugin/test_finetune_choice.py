"""What the Fine-tune dock says before Start, and what it refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from napari_cwtnet.errors import CwtnetError
from napari_cwtnet.plugin.tasks.model_list import MODELS
from napari_cwtnet.plugin.viewer.finetune_request import FinetuneChoice, SlideChoice, finetune_plan
from napari_cwtnet.slides import open_slide
from napari_cwtnet.training.data import guard_band
from plugin.finetune_help import write_slide

Dock = Callable[..., Any]


def settled(qtbot: Any, dock: Any) -> str:
    """The sentence, once it has followed the widgets."""
    qtbot.waitUntil(lambda: not dock._rest.pending, timeout=5000)
    return dock.sentence


def test_the_sentence_says_what_will_happen(tune_dock: Dock, qtbot: Any) -> None:
    _, dock = tune_dock("start")
    plan = finetune_plan(dock.form.choice)
    guard = guard_band(plan.recipe)
    assert settled(qtbot, dock) == (
        "Learns 1.000 µm/px (10×) → 0.500 µm/px (20×) from the left 67 % of learnable, is "
        f"measured on the right 33 %; a guard band of {guard / 2:.0f} µm ({guard:g} px) between "
        "them is left out.\nStarts from start, for at most 10 min on cpu; pauses do not count. If "
        "it improves, start-tuned is added to the model list."
    )
    dock.form.share.setValue(25)
    dock.form.minutes.setValue(2.5)
    dock.form.name.setText("mine")
    words = settled(qtbot, dock)
    assert "the left 75 % of learnable, is measured on the right 25 %" in words
    assert "for at most 2.5 min on cpu" in words
    assert "mine is added to the model list" in words
    assert dock.panel.start_button.isEnabled()
    plan = finetune_plan(dock.form.choice)
    assert plan.recipe.minutes == 2.5
    assert plan.recipe.slides[0].held_out_share == 0.25
    assert plan.recipe.learning_rate == 1e-3  # of the recipe file
    assert plan.job.output.name == "mine"


def test_shapes_say_where_to_learn_and_where_to_measure(tune_dock: Dock, qtbot: Any) -> None:
    viewer, dock = tune_dock("start")
    um = 0.5  # µm per pixel: shapes are drawn in the world
    box = np.array([[0, 0], [0, 300], [192, 300], [192, 0]]) * um
    viewer.add_shapes([box], name="rois", units=("um", "um"))
    viewer.add_shapes([np.add(box, (0, 450 * um))], name="kept", units=("um", "um"))
    dock.form.regions.setCurrentIndex(dock.form.regions.findText("shapes of rois"))
    words = settled(qtbot, dock)
    assert "from the left 67 % of 1 region of learnable, is measured on the right 33 %" in words
    dock.form.held_out.setCurrentIndex(dock.form.held_out.findText("shapes of kept"))
    assert not dock.form.share.isEnabled()
    words = settled(qtbot, dock)
    assert "from 1 region of learnable, is measured on 1 region kept apart" in words
    (source,) = finetune_plan(dock.form.choice).recipe.slides
    # a shape's corner lies on the centre of a pixel, a region begins at a pixel's edge
    assert source.regions == ((0.5, 0.5, 300.0, 191.5),)
    assert source.held_out == ((450.5, 0.5, 300.0, 191.5),)
    viewer.layers["kept"].data = [np.add(box, (0, 250 * um))]
    words = settled(qtbot, dock)
    assert "is trained on and region 250.5" in words
    assert "but they overlap" in words
    assert not dock.panel.start_button.isEnabled()
    viewer.layers["kept"].data = [np.add(box, (0, 9000))]
    words = settled(qtbot, dock)
    assert words.startswith("No shape of layer 'kept' lies on slide 'learnable'; draw one there")
    viewer.layers["kept"].data = [(box[::2], "line")]
    assert settled(qtbot, dock).startswith("No shape of layer 'kept' lies on slide 'learnable'")
    viewer.layers["kept"].data = [(box * (1, 3), "rectangle")]
    dock.form.regions.setCurrentIndex(0)
    words = settled(qtbot, dock)
    assert words.startswith("Nothing of slide 'learnable' is left to learn from: what is held out")
    del viewer.layers["kept"], viewer.layers["rois"]
    assert "the left 67 % of learnable" in settled(qtbot, dock)
    assert dock.form.share.isEnabled()


def test_what_cannot_be_is_said_before_start(
    tune_dock: Dock, qtbot: Any, messages: list[str]
) -> None:
    _, dock = tune_dock("start")
    dock.form.name.setText("start")
    said = settled(qtbot, dock)
    assert said == "There is a model 'start' already; choose another name."
    assert not dock.panel.start_button.isEnabled()
    assert dock.panel.start_button.toolTip() == said
    dock.start()
    assert messages == [said]
    dock.form.name.setText("mine")
    dock.form.output.line.setText("~nobody-of-this-name/run")  # no home folder to expand
    assert "mine is added to the model list" in settled(qtbot, dock)
    assert not dock.controller.busy


@pytest.mark.parametrize(
    ("changes", "recipe", "words"),
    [
        ({"name": "a b"}, None, "Model name 'a b' cannot be a file's; use"),
        ({"name": "last"}, None, "Model name 'last' cannot be a file's"),
        ({"name": "tiny-x2"}, None, "There is a model 'tiny-x2' already; choose another name."),
        ({"name": "a/b"}, None, "Model name 'a/b' cannot be a file's"),
        ({"name": "a" * 300}, None, "cannot be a file's; use letters, digits, '-', '_', '+' and"),
        ({"output": Path("o" * 300)}, None, "cannot be used: File name too long; choose another."),
        ({"model": "gone"}, None, "There is no model; put a .safetensors file"),
        ({"recipe": Path("no.yaml")}, None, "Recipe no.yaml cannot be read"),
        ({}, "slides: [{path: a.svs}]", "names slides; tick them here instead"),
        ({}, "colour: 1", "colour: unknown field"),
        ({}, "- a", "the file: give fields of a recipe, one a line"),
        ({}, "scale: 4", "scale: set by the start model"),
        ({"output": Path()}, None, "holds a run; resume it, or choose another folder."),
    ],
)
def test_what_a_plan_refuses(
    models: Path,
    runs: Path,
    learnable: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    recipe: str | None,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text("")
    with open_slide(learnable) as slide:
        choice = FinetuneChoice("tiny-x2", (SlideChoice.of(slide),))
    assert finetune_plan(choice).recipe.minutes == 10
    if recipe is not None:
        (tmp_path / "r.yaml").write_text(recipe)
        changes = changes | {"recipe": tmp_path / "r.yaml"}
    with pytest.raises(CwtnetError) as caught:
        finetune_plan(dataclasses.replace(choice, **changes))
    assert words in str(caught.value)


def test_slides_are_ticked_added_and_left_alone(
    tune_dock: Dock, qtbot: Any, tmp_path: Path, messages: list[str]
) -> None:
    viewer, dock = tune_dock("start")
    slides = dock.form.slides
    other = write_slide(tmp_path / "other.tif")
    with qtbot.waitSignal(slides.changed, timeout=10000):
        slides.add_file(other)
    assert [one.name for one in slides.ticked] == ["learnable", "other"]
    assert "of learnable" in settled(qtbot, dock)
    assert "of other" in dock.sentence
    slides.list.item(0).setCheckState(slides.list.item(0).checkState().Unchecked)
    assert "of learnable" not in settled(qtbot, dock)
    viewer.layers[0].name = "renamed"
    assert [slides.list.item(i).text() for i in range(2)] == ["renamed", "other"]
    assert [one.name for one in slides.ticked] == ["other"]
    viewer.layers.clear()
    assert [one.path for one in slides.ticked] == [other]
    slides.add_file(tmp_path / "nowhere.tif")
    qtbot.waitUntil(lambda: bool(messages), timeout=10000)
    assert "nowhere.tif" in messages[0]
    qtbot.waitUntil(slides.add_button.isEnabled, timeout=5000)
    shapes = viewer.add_shapes([np.array([[0, 0], [50, 50]])], shape_type="rectangle")
    dock.form.regions.setCurrentIndex(dock.form.regions.findData(shapes))
    assert settled(qtbot, dock).startswith("Slide 'other' is not open, so that no shape lies on it")


def test_a_computed_slide_cannot_be_ticked(
    tune_dock: Dock, qtbot: Any, tmp_path: Path, learnable: Path, messages: list[str]
) -> None:
    _, dock = tune_dock("start")
    made, mark = tmp_path / "made.png", PngInfo()
    mark.add_itxt("Title", "COMPUTED ×2 · downsample 0.5 · start · research use only")
    Image.open(learnable).save(made, pnginfo=mark)
    dock.form.slides.add_file(made)
    qtbot.waitUntil(lambda: bool(messages), timeout=10000)
    assert messages == [
        "Slide 'made.png' is itself computed and no truth to learn from; choose a slide as it was "
        "scanned."
    ]
    assert [one.name for one in dock.form.slides.ticked] == ["learnable"]


def test_no_slide_and_no_model(
    make_napari_viewer: Callable[..., Any], models: Path, runs: Path, messages: list[str]
) -> None:
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-cwtnet", "Fine-tune")
    assert dock.sentence == "Tick a slide to learn from; open or add one if there is none."
    for path in models.iterdir():
        path.unlink()
    MODELS.load()
    dock.form.model.show_models()
    dock._on_rest()
    assert dock.sentence.startswith("There is no model")
    dock.start()
    assert messages == [dock.sentence]


def test_plot_follows_the_theme(tune_dock: Dock, qtbot: Any) -> None:
    viewer, dock = tune_dock()
    dark = dock.panel.curves.backgroundBrush().color()
    assert dark.lightness() < 80
    viewer.theme = "light"
    light = dock.panel.curves.backgroundBrush().color()
    assert light.lightness() > 180
    axis = dock.panel.curves.psnr_plot.getAxis("left")
    assert axis.textPen().color().lightness() < 100
    viewer.theme = "dark"
