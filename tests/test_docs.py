"""README and documentation keep their promises: sentence, commands, links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)")


def test_readme_says_what_it_is_not_for() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "For Research Use Only. Not for use in diagnostic procedures." in readme


@pytest.mark.parametrize("environment", ["demo", "test"])
def test_one_command_sets_up_everything(environment: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox -e"
    assert f"\n```sh\n{command} {environment}\n```\n" in readme


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [t for t in targets if not (page.parent / t).exists()] == []
