"""What can be typed after ``reproduce``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

_TABLES = {
    "table1": "methods at ×2, ×4 and ×8",
    "table2": "components of CWT-Net",
    "table3": "what feeds the WT branch",
    "table4": "loss",
    "table5": "number of CWTBs",
    "table6": "a classifier on enhanced images",
}


def add_reproduce(
    parser: argparse.ArgumentParser, add_json: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Put the tables, and the page that is made of them, on the parser."""
    actions = parser.add_subparsers(metavar="TABLE", required=True, dest="table")
    for key, title in _TABLES.items():
        table = actions.add_parser(key, help=title, description=f"The paper's table: {title}.")
        _table(table, key)
        add_json(table)
    text = "results page, figures and pictures from the folders of finished tables"
    page = actions.add_parser("page", help=text, description=text)
    page.add_argument("--from", dest="folders", type=Path, nargs="+", required=True, metavar="DIR")
    page.add_argument("--output", type=Path, default=Path("docs/evidence"), help="folder")
    add_json(page)


def _table(parser: argparse.ArgumentParser, key: str) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder of the recipes' sources")
    parser.add_argument("--output", type=Path, required=True, help="folder; runs in it are kept")
    parser.add_argument("--budget", default="2000", help="of each network: 2000 steps, or 3m")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0")
    parser.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="of every network; the table's own if left out",
    )
    if key == "table1":
        parser.add_argument("--scale", type=int, nargs="+", choices=(2, 4, 8), default=[2])
    else:
        parser.set_defaults(scale=[2])
    if key == "table6":
        parser.set_defaults(degradation="bicubic")
        parser.add_argument("--patches", type=Path, required=True, help=".npz with patches, labels")
        parser.add_argument("--epochs", type=int, default=12, help="of the classifier")
    else:
        help_text = "LR by bicubic from images, or real levels of slides"
        parser.add_argument(
            "--degradation", choices=("bicubic", "levels"), default="bicubic", help=help_text
        )
