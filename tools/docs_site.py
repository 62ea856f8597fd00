"""Hooks of ``mkdocs build``: the pages' order, and what is made from the code itself.

``mkdocs.yml`` names this file. It needs nothing but the standard library and the sources of the
package, so that the site is built without torch or napari.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ICON = ROOT / "src/napari_cwtnet/plugin/icon.svg"
OPTIONS = "<!-- options of every command -->"
DECISIONS = "<!-- list of decisions -->"


def on_config(config: Any) -> Any:
    """Put the pages that the navigation's patterns stand for in their place."""
    docs = Path(config["docs_dir"])
    config["nav"] = expanded(config["nav"], docs, set(named_pages(config["nav"])))
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the plugin's icon, which lies with the package."""
    from mkdocs.structure.files import File

    icon = File.generated(config, "images/icon.svg", abs_src_path=str(ICON))
    files.append(icon)
    return files


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """Fill in what is made from the code, or from the pages of a folder."""
    if OPTIONS in markdown:
        markdown = markdown.replace(OPTIONS, options_page())
    if DECISIONS in markdown:
        markdown = markdown.replace(DECISIONS, decisions_list(Path(config["docs_dir"])))
    return markdown


def named_pages(nav: Any) -> Iterator[str]:
    """Give every page that a navigation names, patterns left out."""
    if isinstance(nav, str):
        if "*" not in nav:
            yield nav
        return
    for part in nav.values() if isinstance(nav, dict) else nav:
        yield from named_pages(part)


def expanded(nav: list[Any], docs: Path, named: set[str]) -> list[Any]:
    """Give a navigation with each pattern replaced by the pages that ``named`` lacks, sorted."""
    result: list[Any] = []
    for part in nav:
        if isinstance(part, dict):
            [(title, below)] = part.items()
            result.append({title: expanded(below, docs, named)})
        elif "*" in part:
            found = {page.relative_to(docs).as_posix() for page in docs.glob(part)}
            pages = {page for page in found if page.endswith((".md", ".ipynb"))}
            result += sorted(pages - named)
        else:
            result.append(part)
    return result


def decisions_list(docs: Path) -> str:
    """Give a list of the decision records, newest first, each with the title that it has."""
    pages = sorted(docs.glob("decisions/[0-9]*.md"), reverse=True)
    return "\n".join(f"- [{_title(page)}]({page.name})" for page in pages)


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ").strip()


def options_page() -> str:
    """Give usage, arguments and options of every command, as Markdown."""
    source = str(ROOT / "src")
    if source not in sys.path:
        sys.path.insert(0, source)
    from napari_cwtnet.cli.arguments import build_parser

    return "\n\n".join(_command(parser) for parser in commands(build_parser()))


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Give every parser that runs something."""
    branches = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not any(branch.required for branch in branches):
        yield parser
    for branch in branches:
        for below in branch.choices.values():
            yield from commands(below)


def _command(parser: argparse.ArgumentParser) -> str:
    actions = [a for a in parser._actions if a.help != argparse.SUPPRESS and a.dest != "help"]
    usage = " ".join(parser.format_usage().split()).removeprefix("usage: ")
    lines = [
        f"## `{parser.prog}`",
        "",
        _sentence(parser.description or ""),
        "",
        "```text",
        *_wrapped(usage),
        "```",
    ]
    if actions:
        lines += ["", "| argument | default | meaning |", "|---|---|---|"]
        lines += [_row(parser, action) for action in actions]
    return "\n".join(lines)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def _wrapped(usage: str, width: int = 88) -> Iterator[str]:
    """Break a usage line between arguments, the further lines indented."""
    line = ""
    for word in re.findall(r"\[[^\]]*\](?: \.\.\.\])?|\S+", usage):
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = f"   {word}"
        else:
            line = f"{line} {word}" if line else word
    yield line


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{_value(action)}`"
    if action.option_strings and action.nargs != 0:
        names += f" `{_value(action)}`"
    default = "" if action.default in (None, False, [], argparse.SUPPRESS) else action.default
    if action.required and action.nargs != "*":
        default = "required"
    elif default != "":
        words = default if isinstance(default, list | tuple) else [default]
        default = f"`{' '.join(map(str, words))}`"
    meaning = parser._get_formatter()._expand_help(action) if action.help else ""
    return "| " + " | ".join(_cell(text) for text in (names, str(default), meaning)) + " |"


def _value(action: argparse.Action) -> str:
    """Give the word that stands for an argument's value, or the values that it can have."""
    if action.choices is not None:
        word = " | ".join(map(str, action.choices))
    elif isinstance(action.metavar, str):
        word = action.metavar
    else:
        word = action.dest.upper()
    return f"{word} …" if action.nargs in ("+", "*") else word


def _cell(text: str) -> str:
    """Give a text that a table can hold; a bracket would begin a link, outside of code."""
    parts = text.replace("|", "\\|").replace("\n", " ").strip().split("`")
    parts[::2] = [part.replace("[", "\\[").replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)
