"""The command line ``napari-cwtnet``: the engine without a window, and the way to the window.

Exit codes: 0 done, 2 bad input (one line on stderr says what), 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from napari_cwtnet.cli.arguments import build_parser
from napari_cwtnet.errors import CwtnetError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    # Spinning OpenMP threads slow down whatever else runs; must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _let_streams_replace()
    words = sys.argv[1:] if argv is None else argv
    arguments = build_parser().parse_args(_with_values_attached(words))
    try:
        code = int(arguments.run(arguments) or 0)
        sys.stdout.flush()
        return code
    except CwtnetError as error:
        print(f"napari-cwtnet: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        _give_up_stdout()  # whoever read the report has seen enough
        return 0
    except OSError as error:
        _flush_or_give_up()
        place = "" if error.filename is None else f" ({error.filename!r})"
        print(
            f"napari-cwtnet: the system refused: {error.strerror or error}{place}; check paths, "
            "permissions and free space.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("napari-cwtnet: interrupted; no file was left half-written", file=sys.stderr)
        return 130


def _let_streams_replace() -> None:
    """Let a terminal or file of few characters, or a name that is no text, end no report."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _flush_or_give_up() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _give_up_stdout()


def _give_up_stdout() -> None:
    """Python would complain at exit of what cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _with_values_attached(words: Sequence[str]) -> list[str]:
    """``--region=-20,0,…`` for ``--region -20,0,…``, which argparse takes for an option."""
    attached: list[str] = []
    for word in words:
        if attached and attached[-1] == "--region" and word.startswith("-"):
            attached[-1] = f"--region={word}"
        else:
            attached.append(word)
    return attached
