"""The first reason to stop wins, from whichever thread."""

from __future__ import annotations

import threading

import pytest

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.errors import CancelledError


def test_fresh_token_lets_work_go_on() -> None:
    token = CancelToken()
    assert not token.cancelled
    token.raise_if_cancelled()


def test_first_reason_wins() -> None:
    token = CancelToken()
    token.cancel("window closed")
    token.cancel("later")
    assert token.cancelled
    with pytest.raises(CancelledError, match=r"^window closed$"):
        token.raise_if_cancelled()


def test_cancel_reaches_another_thread() -> None:
    token, seen = CancelToken(), []

    def work() -> None:
        try:
            while True:
                token.raise_if_cancelled()
        except CancelledError as error:
            seen.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    token.cancel("enough")
    thread.join(10)
    assert seen == ["enough"]
