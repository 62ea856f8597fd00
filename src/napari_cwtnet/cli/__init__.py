"""The command line ``napari-cwtnet``: the engine without a window, and the way to the window.

Exit codes: 0 done, 2 bad input (one line on stderr says what), 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from napari_cwtnet.cli.arguments import build_parser
from napari_cwtnet.errors import CwtnetError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    # Spinning OpenMP threads slow down whatever else runs; must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = sys.argv[1:] if argv is None else argv
    arguments = build_parser().parse_args(_with_values_attached(words))
    try:
        return int(arguments.run(arguments) or 0)
    except CwtnetError as error:
        print(f"napari-cwtnet: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read the report has seen enough; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("napari-cwtnet: interrupted; no file was left half-written", file=sys.stderr)
        return 130


def _with_values_attached(words: Sequence[str]) -> list[str]:
    """``--region=-20,0,…`` for ``--region -20,0,…``, which argparse takes for an option."""
    attached: list[str] = []
    for word in words:
        if attached and attached[-1] == "--region" and word.startswith("-"):
            attached[-1] = f"--region={word}"
        else:
            attached.append(word)
    return attached
