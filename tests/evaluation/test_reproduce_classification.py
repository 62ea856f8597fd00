"""The judge of Table VI, its split, its scores, and the table from end to end."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from training.conftest import tiles

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import RequestError
from napari_cwtnet.evaluation.reproduce import TABLES, TablePlan, judge_methods
from napari_cwtnet.evaluation.reproduce.classifier import ResNet50, read_patches
from napari_cwtnet.evaluation.reproduce.experiment import Budget
from napari_cwtnet.evaluation.reproduce.results import interval
from napari_cwtnet.evaluation.reproduce.runs import Place
from napari_cwtnet.evaluation.reproduce.table6 import field_of, scores_of
from napari_cwtnet.slides.degradation import Degradation
from napari_cwtnet.slides.degrade import degrade
from napari_cwtnet.training.fields import shrink


def test_resnet_50_is_that_of_its_paper() -> None:
    judge = ResNet50(1000)
    assert sum(p.numel() for p in judge.parameters()) == 25_557_032
    assert ResNet50(2).eval()(torch.zeros(1, 3, 48, 48)).shape == (1, 2)


def test_scores() -> None:
    labels = np.array([0, 0, 0, 1])
    guesses = np.array([0.1, 0.2, 0.6, 0.9])
    scores = scores_of(guesses, labels, np.array(["a", "b", "c", "c"]))
    assert (scores.accuracy, scores.balanced, scores.auc) == (0.75, pytest.approx(5 / 6), 1.0)
    assert (scores.low, scores.high) == (0.5, 1.0)  # two images all right, one half


def test_two_images_have_no_interval() -> None:
    assert interval([0.1, 0.2, 0.3], ["a", "a", "b"]) is None
    assert interval([0.1, 0.2, 0.3], ["a", "b", "c"]) is not None
    scores = scores_of(np.array([0.1, 0.9]), np.array([0, 1]), np.array(["a", "a"]))
    assert (scores.low, scores.high) == (None, None)


def test_patches_of_one_image_are_no_independent_evidence() -> None:
    values = [0.0] * 50 + [1.0] * 50
    alone = interval(values, range(100))
    in_images = interval(values, [i // 10 for i in range(100)])
    assert alone is not None
    assert in_images is not None
    assert alone[1] - alone[0] < 0.22
    assert in_images[1] - in_images[0] > 0.5


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    (root / "blocks").mkdir(parents=True)
    (root / "sources.yaml").write_text(
        '- {name: blocks, folder: blocks, licence: CC0-1.0, held_out: ["0*"]}\n'
    )
    for number in range(3):
        Image.fromarray(tiles(number, 128)).save(root / "blocks" / f"{number}.png")
    return root


def patches_of(path: Path, sources: list[int]) -> Path:
    generator = np.random.default_rng(0)
    labels = np.arange(len(sources)) % 2
    images = (
        generator.integers(0, 60, (len(sources), 32, 32, 3)) + 150 * labels[:, None, None, None]
    )
    np.savez(path, patches=images.astype(np.uint8), label=labels, image_id=np.array(sources))
    return path


@pytest.mark.slow
def test_the_table_from_end_to_end(data: Path, tmp_path: Path) -> None:
    file = patches_of(tmp_path / "patches.npz", [0] * 6 + [1] * 16 + [2] * 16)
    plan = TablePlan(TABLES["table1"].in_dtype("float32"), data, tmp_path / "out", Budget(steps=1))
    said: list[str] = []
    found = judge_methods(plan, file, 3, CancelToken(), said.append)
    assert [one.name for one in found[:3]] == ["original", "bicubic, shrunk", "bicubic"]
    assert {"SRCNN", "EDSR", "CWT-Net"} <= {one.name for one in found}
    with (tmp_path / "out" / "table6.csv").open(newline="") as table:
        told = {row["images"]: float(row["accuracy"]) for row in csv.DictReader(table)}
    assert told["original"] == found[0].scores.accuracy
    text = (tmp_path / "out" / "table6.md").read_text()
    assert "To test: 6 patches of 1 images." in text
    assert "always saying the commoner class: 50.0 %" in text
    # bicubic is not held against itself
    assert text.count("(too few images)") == 2 * len(found) - 1
    again: list[str] = []
    assert judge_methods(plan, file, 3, CancelToken(), again.append) == found
    assert "Table VI, seed 0: training the classifier on 32 patches, 3 epochs" in said
    assert "Table VI, run 2 of 9: SRCNN ×2, seed 0: training, 1 steps" in said
    assert not [words for words in again if "training" in words]
    assert [words.split(": ")[1] for words in again] == [
        str(Place(row, 2, 0)) for row in plan.table.rows(2, "bicubic")
    ]


def test_scanner_classifies_what_scanners_make() -> None:
    patch = tiles(0, 64)
    clean, scanned = field_of(patch, "bicubic"), field_of(patch, "scanner")
    made = Degradation.parse("box+jpeg75-420")
    random = np.random.default_rng(0)
    assert np.array_equal(clean.lr, shrink(patch, 2))
    assert np.array_equal(scanned.lr, degrade(patch, made, 2, random=random))
    assert not np.array_equal(scanned.lr, clean.lr)
    assert scanned.truth is patch


def test_the_table_of_what_scanners_make(data: Path, tmp_path: Path) -> None:
    file = patches_of(tmp_path / "patches.npz", [0] * 6 + [1] * 8 + [2] * 8)
    table = replace(TABLES["table1"], rows=lambda *_: TABLES["table1"].rows(2, "bicubic")[:2])
    plan = TablePlan(table, data, tmp_path / "out", Budget(steps=1), degradation="scanner")
    found = judge_methods(plan, file, 1, CancelToken(), lambda _: None)
    names = ["original", "shrunk, as a scanner makes it", "bicubic", "SRCNN"]
    assert [one.name for one in found] == names
    rows = [
        line for line in (tmp_path / "out" / "table6.md").read_text().splitlines() if "|" in line
    ]
    assert [row.split(" | ")[-2] for row in rows[2:]] == [""] * 4  # the paper has none of these


def test_patches_that_cannot_be_used(data: Path, tmp_path: Path) -> None:
    plan = TablePlan(TABLES["table1"], data, tmp_path / "out", Budget(steps=1))
    strangers = patches_of(tmp_path / "strangers.npz", [7, 8, 7, 8])
    with pytest.raises(RequestError, match="0 patches are left to test"):
        judge_methods(plan, strangers, 1, CancelToken(), print)
    assert not plan.output.exists()
    with pytest.raises(RequestError, match="No such file"):
        judge_methods(plan, tmp_path / "nowhere.npz", 1, CancelToken(), print)
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04 no more of it")
    with pytest.raises(RequestError, match=r"torn\.npz are no \.npz file"):
        read_patches(tmp_path / "torn.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(RequestError, match=r"one\.npy are no \.npz file"):
        read_patches(tmp_path / "one.npy")
    three = np.zeros((3, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "three.npz", patches=three, label=[0, 1, 2], image_id=[1, 2, 3])
    with pytest.raises(RequestError, match="give 0 and 1"):
        read_patches(tmp_path / "three.npz")
    np.savez(tmp_path / "half.npz", patches=np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(RequestError, match=r"cannot be read.*image_id"):
        read_patches(tmp_path / "half.npz")
