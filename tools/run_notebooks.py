"""Run the notebooks of the documentation from first to last cell.

Usage: ``python tools/run_notebooks.py [--write] [NOTEBOOK ...]``

A cell that raises ends it with the cell's own traceback and status 1. ``--write`` keeps the cells'
output in the files, and the site shows it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).resolve().parents[1] / "docs/notebooks"
CELL_TIMEOUT_S = 600


def run(path: Path, *, write: bool) -> bool:
    """Run one notebook; give whether every cell came to its end.

    Parameters
    ----------
    path : Path
        An ``.ipynb`` file.
    write : bool
        Whether the file is replaced by itself with its output.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=CELL_TIMEOUT_S, record_timing=False)
    start = time.monotonic()
    try:
        client.execute()
    except CellExecutionError as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return False
    print(f"{path.name}: {time.monotonic() - start:.0f} s")
    if write:
        notebook.metadata["language_info"] = {"name": "python"}
        nbformat.write(notebook, path)
    return True


def main() -> int:
    """Run those that are named, or all; give the exit status."""
    parser = argparse.ArgumentParser(description="Run the notebooks of the documentation.")
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(FOLDER.glob("*.ipynb")))
    parser.add_argument("--write", action="store_true", help="keep the output in the files")
    arguments = parser.parse_args()
    done = [run(path, write=arguments.write) for path in arguments.notebooks]
    return 0 if done and all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
