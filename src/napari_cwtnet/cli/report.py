"""Reports, as JSON for programs or as lines for people."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tqdm import tqdm

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.cli.terminal import printable, printable_json

_SHORT = 20
_SECONDS_BETWEEN_LINES = 30


def report(values: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a report on stdout."""
    if as_json:
        text = printable_json(json.dumps(_finite(values), ensure_ascii=False))
        print(text if _is_writable(text) else json.dumps(_finite(values)))
        return
    width = max(len(key) for key in values)
    for key, value in values.items():
        if value and isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
            print(*map(printable, [key, *_table(value)]), sep="\n")
        elif isinstance(value, list) and any(isinstance(item, str | Mapping) for item in value):
            short = all(isinstance(item, str) and len(item) < _SHORT for item in value)
            for number, item in enumerate([", ".join(value)] if short else value):
                print(printable(f"{key if number == 0 else '':{width}}  {_words(item)}"))
        elif value is not None:
            print(printable(f"{key:{width}}  {_words(value)}"))


def _table(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    """Rows under their heads; what holds for none of them, or is itself a table, is left out."""
    heads = [
        head
        for head in dict.fromkeys(head for row in rows for head in row)
        if any(row.get(head) is not None for row in rows)
        and not any(_is_table(row.get(head)) for row in rows)
    ]
    lines = [heads, *([_cell(row.get(head)) for head in heads] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  " + "  ".join(map(str.ljust, line, widths)).rstrip()


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, Mapping) for item in value)


def _cell(value: Any) -> str:
    return "" if value is None else _words(value)


def _is_writable(text: str) -> bool:
    """Whether stdout's encoding has all of it; a replacement would make other values of it."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeError:
        return False
    return True


def _finite(value: Any) -> Any:
    """JSON has no infinity: a PSNR of equal images becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(item)}" for key, item in value.items())
    if isinstance(value, list):
        sides = len(value) == len(("width", "height")) and not isinstance(value[0], str)
        joint = " × " if sides else ", "
        return joint.join(_words(item) for item in value)
    return str(value)


class Progress:
    """How far the work is, on stderr: a bar on a terminal, elsewhere a line every half minute."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._bar: tqdm[Any] | None = None
        self._began = self._said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Say how far the work is."""
        if not sys.stderr.isatty():
            self._line(done, total)
            return
        if self._bar is None:
            self._bar = tqdm(total=total, unit=self._unit, leave=False)
        self._bar.update(done - self._bar.n)
        if done == total:
            self._bar.close()

    def _line(self, done: int, total: int) -> None:
        """For a log: work that is over within the half minute says nothing."""
        now = time.monotonic()
        if done == 0:
            self._began = self._said = now
        elif done < total and now - self._said >= _SECONDS_BETWEEN_LINES:
            self._said = now
            left = (now - self._began) * (total - done) / done
            print(
                f"{self._unit} {done} of {total}, {left / 60:.1f} min left",
                file=sys.stderr,
                flush=True,
            )


@contextlib.contextmanager
def stopped_by_interrupt(
    cancel: CancelToken, words: str = "stopping; the best model is kept"
) -> Iterator[None]:
    """Within the block, Ctrl-C says so and cancels the token; a second one breaks the work off."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        if cancel.cancelled:
            raise KeyboardInterrupt
        print(words, file=sys.stderr)
        cancel.cancel("interrupted")

    previous = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


class Bars:
    """A bar for each kind of thing that is made: tiles, then levels, then parts of a file."""

    def __init__(self) -> None:
        self._bars: dict[str, Progress] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say how far it is."""
        self._bars.setdefault(what, Progress(what))(done, total)
