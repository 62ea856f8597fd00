"""``sources.yaml``: what is wrong with it is said by file, entry, key and value."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_cwtnet.errors import RequestError
from napari_cwtnet.evaluation.reproduce.own_sources import read_sources

GOOD = "- {name: a, folder: a, licence: CC0-1.0, held_out: ['0*']}\n"


def entry(more: str) -> str:
    return f"{GOOD}- {{name: mine, folder: b, licence: CC0-1.0, {more}}}\n"


def test_sources_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text(entry("halvings: 1, weight: 2"), encoding="utf-8")
    first, second = read_sources(path)
    assert (first.name, first.held_out, first.weight) == ("a", ("0*",), 1.0)
    assert (second.folder, second.halvings, second.weight) == ("b", 1, 2.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            entry("heldout: ['0*']"),
            ", entry 2 ('mine'): heldout: there is no such field; known are name, folder, licence, "
            "halvings, weight, held_out.",
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
            ", entry 1 ('mine'): license: there is no such field; known are name, folder, licence",
        ),
        ("- {folder: b, licence: c}", ", entry 1: name: missing; give it: short name, as in model"),
        (f"{GOOD}- mine", ", entry 2: 'mine' is no source; give a line like - {name: mine, "),
        ("name: mine", " is no list of sources; give lines like - {name: mine, folder: "),
        ("", " is no list of sources; give lines like - {name: mine, "),
        ("- a\n- [b", ", line 2, column 5: no YAML: expected ',' or ']'"),
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


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"sources\.yaml cannot be read: Is a directory; check"):
        (tmp_path / "sources.yaml").mkdir()
        read_sources(tmp_path / "sources.yaml")
