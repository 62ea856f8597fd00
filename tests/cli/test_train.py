"""``train`` from the command line: a recipe in, weights and a report out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.conftest import Run
from cli.test_refusals import refused
from napari_cwtnet.model import load_model
from napari_cwtnet.training.recipe import shipped_recipes

RECIPE = """
name: tiny
scale: 2
network: {blocks: 1, channels: 8, wr_blocks: 1, tile: 32}
sources: [{name: cells, folder: cells, licence: CC0-1.0, held_out: ["2*"]}]
slides: [{path: cells/2.png, held_out_share: 1, weight: 1}]
patch: 16
batch: 2
steps: 4
validate_every: 2
"""


@pytest.fixture
def words(tmp_path: Path) -> list[object]:
    """A run of four steps on two images; a third is held out, as an image and as a slide."""
    folder = tmp_path / "cells"
    folder.mkdir()
    for number in range(3):
        cells = np.random.default_rng(number).integers(0, 2, (24, 24)).repeat(4, 0).repeat(4, 1)
        colours = np.array([[230, 200, 220], [90, 40, 120]], np.uint8)
        Image.fromarray(colours[cells]).save(folder / f"{number}.png")
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    run = tmp_path / "run"
    return ["train", tmp_path / "recipe.yaml", "--data", tmp_path, "--output", run]


def test_report_and_going_on(run: Run, words: list[object], tmp_path: Path) -> None:
    done = run(*words, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["steps"], said["stopped"]) == (4, False)
    model = load_model(said["weights"])
    assert model.path == tmp_path / "run" / "tiny.safetensors"
    assert said["validation_psnr"] == pytest.approx(model.provenance["validation_psnr"], abs=1e-4)
    assert "step 4: PSNR" in done.stderr
    assert "2.png: 0 fields to train on, 1 held out" in done.stderr
    assert json.loads(run(*words, "--json").stdout) == said


def test_refusals(run: Run, words: list[object], tmp_path: Path) -> None:
    words[1] = tmp_path / "none.yaml"
    refused(run(*words), "none.yaml", "cannot be read")
    words[1] = "nosuch"
    refused(run(*words), "Recipe 'nosuch' is unknown", *shipped_recipes(), "YAML file")
    words[1], words[3] = tmp_path / "recipe.yaml", tmp_path / "nowhere"
    refused(run(*words), "nowhere", "--data")
    assert not (tmp_path / "run").exists()
