"""Site and wheel: each option and page is there, and a wheel that lacks a file is found."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest
import yaml

from napari_cwtnet.cli.arguments import build_parser

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))

import check_wheel  # noqa: E402
import docs_site  # noqa: E402

PARSERS = list(docs_site.commands(build_parser()))


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.prog)
def test_every_option_has_a_row(parser: argparse.ArgumentParser) -> None:
    sections = docs_site.options_page().split("\n## ")
    [section] = [s for s in sections if f"`{parser.prog}`" in s.partition("\n")[0]]
    for action in parser._actions:
        if action.option_strings and action.dest != "help":
            assert f"\n| `{action.option_strings[0]}`" in section


def test_every_page_has_a_place_in_the_navigation() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    docs = ROOT / "docs"
    named = set(docs_site.named_pages(nav))
    placed = list(docs_site.named_pages(docs_site.expanded(nav, docs, named)))
    pages = [p for kind in ("md", "ipynb") for p in docs.rglob(f"*.{kind}")]
    assert sorted(placed) == sorted(p.relative_to(docs).as_posix() for p in pages)


def test_decisions_are_listed_newest_first_by_their_titles() -> None:
    lines = docs_site.decisions_list(ROOT / "docs").splitlines()
    assert len(lines) == len(list(ROOT.glob("docs/decisions/0*.md")))
    assert lines[-1] == (
        "- [0001: the ring that enhances is the package `enhancement`](0001-enhancement-package.md)"
    )
    assert lines == sorted(lines, reverse=True)


@pytest.mark.parametrize(
    ("without", "extra", "found"),
    [
        ((), (), []),
        (("napari_cwtnet/model/",), (), ["nothing matches napari_cwtnet/model/weights/*"]),
        (("napari_cwtnet/errors.py",), (), ["missing: napari_cwtnet/errors.py"]),
        ((), ("tests/conftest.py",), ["should not be there: tests/conftest.py"]),
    ],
)
def test_wheel_has_what_the_clone_has(
    without: tuple[str, ...], extra: tuple[str, ...], found: list[str]
) -> None:
    source = check_wheel.source_files()
    about = {"a-1.dist-info/entry_points.txt", "a-1.dist-info/licenses/LICENSE"}
    names = {n for n in source | about if not n.startswith(without or ("\0",))} | set(extra)
    findings = check_wheel.findings(names, source)
    assert bool(findings) == bool(found)
    for one in found:
        assert any(one in finding for finding in findings)
