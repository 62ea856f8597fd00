"""Recipes: read back as they were written, and refused by the field that is wrong."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.model import preset
from napari_cwtnet.training.recipe import load_recipe
from training.conftest import tiny_recipe


def written(folder: Path, **changes: Any) -> Path:
    fields = tiny_recipe().model_dump(mode="json") | changes
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(fields), encoding="utf-8")
    return path


def test_yaml_round_trip(tmp_path: Path) -> None:
    recipe = tiny_recipe(scale=4, reference_share=0.5, seed=7, loss={"pixel": "mse"})
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    assert load_recipe(path) == recipe
    assert recipe.network_config().channels == 8


@pytest.mark.parametrize(
    ("name", "scale", "share"),
    [("x2", 2, 0.0), ("x4", 4, 0.4), ("x8", 8, 0.4)],
)
def test_shipped_recipe_loads(name: str, scale: int, share: float) -> None:
    folder = resources.files("napari_cwtnet.training") / "recipes"
    with resources.as_file(folder / f"cwtnet-lite-{name}.yaml") as path:
        recipe = load_recipe(path)
    assert (recipe.name, recipe.scale) == (f"cwtnet-lite-{name}", scale)
    assert recipe.reference_share == share
    assert recipe.network_config() == preset("lite-2", scale)
    assert recipe.degradation is not None
    assert all(source.licence.startswith("CC") for source in recipe.sources)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"colour": 1}, "colour: unknown field; choose one of name, scale, arch"),
        ({"scale": 3}, "scale: 3 is given; give 2, 4 or 8"),
        ({"patch": 17}, "patch: 17 is given; give a multiple of 2: patch side, LR pix"),
        ({"learning_rate": 0}, "learning_rate: 0 is given; give a number above 0: Ad"),
        ({"learning_rate": float("inf")}, "learning_rate: inf is given; give a finite nu"),
        ({"reference_share": 1.5}, "reference_share: 1.5 is given; give a number of at most 1"),
        ({"sources": []}, "the file: give sources (folders of images) or slides"),
        ({"sources": [{"name": "a", "folder": "a"}]}, "sources.0.licence: missing; give it"),
        ({"loss": {"nothing": 1}}, "loss.nothing: unknown field; choose one of sr, wt, sr_ssim"),
        ({"name": "../escape"}, "name: '../escape' is given; give text that fits ^[A-Z"),
        ({"name": "last"}, "name: last.safetensors is the run's own"),
        ({"preset": "huge"}, "preset 'huge' is unknown; choose one of paper, "),
        ({"network": {"depth": 3}}, "network.depth: unknown field; choose one of wt_br"),
        ({"network": {"channels": 9}}, "network.channels: 9 is given; give a multiple of 8"),
        ({"network": {"scale": 4}}, "network.scale: set by the recipe's own scale"),
        ({"network": {"name": "x"}}, "network.name: unknown field"),
        ({"network": {"tile": 16, "halo": 8}}, "network.sizes: tile 16 must exceed"),
    ],
)
def test_wrong_field_is_named_in_one_line(
    tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(TrainingError) as caught:
        load_recipe(path)
    message = str(caught.value)
    assert message.startswith(f"Recipe {path}: {named}")
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"", b"- a\n", b"a: [", b"\xff\xfe\x00", b"a: b: c"])
def test_file_that_is_no_recipe_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(TrainingError) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"Recipe {path}: ")
    assert "\n" not in str(caught.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"none\.yaml cannot be read: No such file"):
        load_recipe(tmp_path / "none.yaml")
