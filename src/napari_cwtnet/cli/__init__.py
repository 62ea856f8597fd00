"""The command line ``napari-cwtnet``: the engine without a window, and the way to the window.

Exit codes: 0 done, 1 if some of many slides failed, 2 bad input (one line on stderr says what),
130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Sequence

from napari_cwtnet.cli.arguments import build_parser
from napari_cwtnet.cli.terminal import complain
from napari_cwtnet.errors import CwtnetError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    # Spinning OpenMP threads slow down whatever else runs; must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _let_streams_replace()
    words = sys.argv[1:] if argv is None else argv
    arguments = build_parser().parse_args(_with_values_attached(words))
    with warnings.catch_warnings():
        if not sys.warnoptions:  # what libraries warn of may hold text of the file
            warnings.simplefilter("ignore")
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    try:
        code = int(arguments.run(arguments) or 0)
        if sys.stdout is not None:  # as it is where stdout was closed
            sys.stdout.flush()
        return code
    except CwtnetError as error:
        complain(error)
        return 2
    except BrokenPipeError:
        _give_up_stdout()  # whoever read the report has seen enough
        return 0
    except OSError as error:
        _flush_or_give_up()
        place = "" if error.filename is None else f" ({error.filename!r})"
        complain(
            f"the system refused: {error.strerror or error}{place}; check paths, permissions and "
            "free space."
        )
        return 2
    except RecursionError:
        complain(
            "a file nests its values too deeply to be read; check that it is the one you mean."
        )
        return 2
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        complain("out of memory; close other programs, or choose a smaller region or model.")
        return 2
    except KeyboardInterrupt:
        complain("interrupted; no file was left half-written")
        return 130


def _is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    # Loads torch, which an error of torch's has loaded already.
    if isinstance(error, MemoryError):
        return True
    from napari_cwtnet.enhancement.memory import is_out_of_memory

    return is_out_of_memory(error)


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
