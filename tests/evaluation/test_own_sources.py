"""``sources.yaml``: what is wrong with it is said by file, entry, key and value."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import RequestError, TrainingError
from napari_cwtnet.evaluation.reproduce import TABLES, Driver, TablePlan
from napari_cwtnet.evaluation.reproduce.data import read_sources
from napari_cwtnet.evaluation.reproduce.experiment import Budget

GOOD = "- {name: a, folder: a, licence: CC0-1.0, held_out: ['0*']}\n"


def entry(more: str) -> str:
    return f"{GOOD}- {{name: mine, folder: b, licence: CC0-1.0, {more}}}\n"


def folder_of(root: Path, text: str) -> Path:
    """Folders ``a`` and ``b`` with two images each, and the file."""
    for name in ("a/00.png", "a/10.png", "b/01.png", "b/11.png"):
        (root / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (128, 128)).save(root / name)
    (root / "sources.yaml").write_text(text, encoding="utf-8")
    return root / "sources.yaml"


def test_sources_are_read(tmp_path: Path) -> None:
    path = folder_of(tmp_path, entry("halvings: 1, weight: 2"))
    first, second = read_sources(path)
    assert (first.name, first.held_out, first.weight) == ("a", ("0*",), 1.0)
    assert (second.folder, second.halvings, second.weight) == ("b", 1, 2.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            entry("heldout: ['0*']"),
            ", entry 2 ('mine'): heldout: unknown field; choose one of name, folder, licence, "
            "halvings, weight, held_out, tested.",
        ),
        (
            entry("held_out: '0*'"),
            ", entry 2 ('mine'): held_out: '0*' is given; give a list: file name patterns kept",
        ),
        (entry("held_out: [7]"), ", entry 2 ('mine'): held_out.0: 7 is given; give text"),
        (
            entry("halvings: 9"),
            ", entry 2 ('mine'): halvings: 9 is given; give a number of at most 3: times the",
        ),
        (
            entry("weight: heavy"),
            ", entry 2 ('mine'): weight: 'heavy' is given; give a number: share of patches",
        ),
        (
            "- {name: mine, folder: b, license: CC0-1.0}",  # the misspelt one, not the missing one
            ", entry 1 ('mine'): license: unknown field; choose one of name, folder, licence",
        ),
        ("- {folder: b, licence: c}", ", entry 1: name: missing; give it: short name, as in model"),
        (f"{GOOD}- mine", ", entry 2: 'mine' is no source; give a line like - {name: mine, "),
        ("name: mine", " is no list of sources; give lines like - {name: mine, folder: "),
        ("", " is no list of sources; give lines like - {name: mine, "),
        ("- a\n- [b", ", line 2, column 5: not YAML: expected ',' or ']'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RequestError) as caught:
        read_sources(path)
    message = str(caught.value)
    assert message.startswith(f"{path}{said}")
    assert "\n" not in message
    assert "pydantic" not in message


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        (
            ("['*']", "['?1*', '0*']"),
            ": nothing is left to train on: held_out (entry 1 ('a'), ['*'] and entry 2 ('b'), "
            "['?1*', '0*']) keeps all 4 images for testing; give patterns that only some",
        ),
        (
            ("[]", "['x*']"),
            ": nothing is kept for testing: no file name of 4 images matches held_out (entry 2 "
            "('b'), ['x*']); give patterns that some",
        ),
        (("['*']", "[]"), None),
    ],
)
def test_something_is_left_on_both_sides(
    tmp_path: Path, patterns: tuple[str, str], said: str | None
) -> None:
    lines = (
        f"- {{name: {name}, folder: {name}, licence: c, held_out: {held_out}}}\n"
        for name, held_out in zip("ab", patterns, strict=True)
    )
    path = folder_of(tmp_path, "".join(lines))
    if said is None:  # a source to test on, another to train on
        assert [source.name for source in read_sources(path)] == ["a", "b"]
        return
    plan = TablePlan(TABLES["table2"], tmp_path, tmp_path / "out", Budget(steps=1))
    with pytest.raises(RequestError) as caught:
        Driver(plan, CancelToken(), print).run()
    assert str(caught.value).startswith(f"{path}{said}")
    assert not plan.output.exists()


def test_images_below_a_patch_are_refused_before_the_first_row(tmp_path: Path) -> None:
    path = folder_of(tmp_path, "- {name: a, folder: a, licence: c, held_out: ['0*']}")
    Image.new("RGB", (48, 48)).save(path.parent / "a/10.png")
    said: list[str] = []
    plan = TablePlan(TABLES["table2"], tmp_path, tmp_path / "out", Budget(steps=1))
    with pytest.raises(TrainingError, match="No training image is as large as one patch"):
        Driver(plan, CancelToken(), said.append).run()
    assert said == []
    assert not plan.output.exists()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"sources\.yaml cannot be read: Is a directory; check"):
        (tmp_path / "sources.yaml").mkdir()
        read_sources(tmp_path / "sources.yaml")
