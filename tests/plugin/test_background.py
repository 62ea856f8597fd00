from __future__ import annotations

import threading
from typing import Any

import pytest

from napari_cwtnet.errors import SlideError
from napari_cwtnet.plugin.tasks.runner import in_background


def outcome(qtbot: Any, work: Any) -> list[tuple[str, object]]:
    """What was called in the window's thread, in order."""
    calls: list[tuple[str, object]] = []

    def note(kind: str, value: object = None) -> None:
        assert threading.current_thread() is threading.main_thread()
        calls.append((kind, value))

    in_background(
        work,
        lambda value: note("answer", value),
        lambda message: note("failed", message),
        lambda: note("end"),
    )
    qtbot.waitUntil(lambda: ("end", None) in calls, timeout=10000)
    return calls


def test_answer_comes_to_the_window_s_thread(qtbot: Any) -> None:
    calls = outcome(qtbot, lambda: threading.current_thread() is threading.main_thread())
    assert calls == [("answer", False), ("end", None)]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SlideError("it is broken"), "it is broken"),
        # napari's workers would drop these without a word
        (RuntimeError("from a library"), "RuntimeError: from a library"),
        (MemoryError(), "MemoryError: "),
        (ValueError("a fault\nat length"), "ValueError: a fault"),
    ],
)
def test_errors_are_told_in_one_line(qtbot: Any, error: Exception, message: str) -> None:
    def work() -> None:
        raise error

    assert outcome(qtbot, work) == [("failed", message), ("end", None)]
