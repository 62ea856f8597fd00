"""A run that is saved without being measured, as when a window closes, loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import CancelledError, TrainingError
from napari_cwtnet.model import load_model
from napari_cwtnet.training.events import Done, Measuring, StepDone, Validation
from napari_cwtnet.training.trainer import Trainer
from training.test_finetune import recipe_for, slide, start_model
from training.test_trainer import assert_same_state, logged

__all__ = ["slide"]


@pytest.mark.parametrize(
    ("kind", "step"), [(Measuring, 0), (StepDone, 2), (StepDone, 3), (Measuring, 3), (Measuring, 6)]
)
def test_goes_on_as_if_it_had_never_been_broken_off(
    slide: Path, tmp_path: Path, kind: type, step: int
) -> None:
    """Also where the weights were about to be measured, which the run then makes up for."""
    recipe = recipe_for(slide, start_model(tmp_path, 4, share=0.5))
    unbroken = Trainer(recipe, Path(), tmp_path / "unbroken")
    whole = [event for event in unbroken.run() if isinstance(event, Validation)]
    broken = Trainer(recipe, Path(), tmp_path / "broken")
    for event in broken.run():
        if isinstance(event, kind) and event.step == step:
            broken.save()
            break
    resumed = Trainer(recipe, Path(), tmp_path / "broken")
    assert_same_state(resumed.state, broken.state)
    events = list(resumed.run())
    assert isinstance(events[-1], Done)
    assert_same_state(resumed.state, unbroken.state)
    measured = [event for event in events if isinstance(event, Validation)]
    assert measured == whole[len(whole) - len(measured) :]
    rows, others = (logged(tmp_path / name) for name in ("broken", "unbroken"))
    assert [row["psnr"] for row in rows] == [row["psnr"] for row in others]
    first, second = (load_model(t.weights).network.state_dict() for t in (unbroken, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_reading_of_slides_can_be_broken_off(slide: Path, tmp_path: Path) -> None:
    cancel = CancelToken()
    cancel.cancel("the window was closed")
    with pytest.raises(CancelledError, match="the window was closed"):
        Trainer(recipe_for(slide, start_model(tmp_path)), Path(), tmp_path / "run", cancel)
    assert not (tmp_path / "run").exists()


def test_computed_slide_is_no_truth(slide: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.png"
    mark = PngInfo()
    mark.add_itxt("Title", "COMPUTED ×2 · downsample 0.5 · start · research use only")
    Image.open(slide).save(made, pnginfo=mark)
    with pytest.raises(TrainingError, match=r"^Slide 'made.png' is itself computed \(COMPUTED ×2"):
        Trainer(recipe_for(made, start_model(tmp_path)), Path(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
