"""The page about recipes names every field, its default and its meaning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from napari_cwtnet.training.degrade import DegradationMix
from napari_cwtnet.training.recipe import (
    Adversarial,
    ImageSource,
    Loss,
    Recipe,
    SlideSource,
    StartModel,
    make_recipe,
)

PAGE = (Path(__file__).parents[2] / "docs/reference/recipes.md").read_text(encoding="utf-8")


def rows(model: type[BaseModel]) -> Iterator[str]:
    """A row of a table for each field."""
    for name, field in model.model_fields.items():
        default = field.get_default()
        if field.is_required():
            shown = "required"
        elif default is None or default in ((), {}):
            shown = "none"
        elif isinstance(default, BaseModel):
            shown = "see below"
        elif isinstance(default, dict):
            shown = ", ".join(f"{key} {value:g}" for key, value in default.items())
        elif isinstance(default, tuple):
            shown = ", ".join(f"{one}" for one in default)
        elif isinstance(default, float):
            shown = f"{default:.3g}"
        else:
            shown = str(default).lower() if isinstance(default, bool) else f"{default}"
        yield f"| `{name}` | {shown} | {field.description} |"


@pytest.mark.parametrize(
    "model",
    [Recipe, ImageSource, SlideSource, StartModel, Loss, DegradationMix, Adversarial],
    ids=lambda model: str(model.__name__),
)
def test_every_field_is_on_the_page(model: type[BaseModel]) -> None:
    assert [row for row in rows(model) if f"\n{row}\n" not in PAGE] == []


def test_examples_are_recipes() -> None:
    train, finetune = (part.split("```")[0] for part in PAGE.split("```yaml\n")[1:])
    make_recipe(yaml.safe_load(train), "the page")
    make_recipe({"name": "a", "scale": 2} | yaml.safe_load(finetune), "the page")
