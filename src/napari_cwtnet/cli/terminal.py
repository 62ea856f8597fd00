"""Words for a terminal: a file's own text in them moves no cursor and fills no screen."""

from __future__ import annotations

import sys
import unicodedata

MOST = 2000
"""Characters of a line; what lies between its beginning and its end is left out."""

_HIDDEN = {"Cc", "Cf", "Zl", "Zp"}
"""Unicode's categories of characters that are instructions."""


def printable(text: str) -> str:
    r"""One line of bounded length, with control characters written out.

    Examples
    --------
    >>> print(printable("a\x1b[31m\nb"))
    a\x1b[31m\x0ab
    """
    if len(text) > MOST:
        text = f"{text[: MOST // 2]} … {text[-MOST // 4 :]}"
    return "".join(one if not _is_hidden(one) else _escaped(one) for one in text)


def printable_json(text: str) -> str:
    r"""JSON with the control characters in its strings escaped, of which it means the same.

    Examples
    --------
    >>> print(printable_json('["\x9b"]'))
    ["\u009b"]
    """
    return "".join(
        one if one == "\n" or not _is_hidden(one) or ord(one) > 0xFFFF else f"\\u{ord(one):04x}"
        for one in text
    )


def tell(words: object) -> None:
    """Say one line on stderr, at once."""
    print(printable(str(words)), file=sys.stderr, flush=True)


def complain(message: object) -> None:
    """Say on stderr what went wrong, in one line."""
    tell(f"napari-cwtnet: {message}")


def _is_hidden(one: str) -> bool:
    return not " " <= one <= "~" and unicodedata.category(one) in _HIDDEN


def _escaped(one: str) -> str:
    return f"\\x{ord(one):02x}" if ord(one) < 256 else f"\\u{ord(one):04x}"
