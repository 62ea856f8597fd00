"""A token that asks running work to stop."""

from __future__ import annotations

import threading

from napari_cwtnet.errors import CancelledError


class CancelToken:
    """Set once from any thread; the first reason wins."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self.reason = ""

    def cancel(self, reason: str = "cancelled") -> None:
        """Ask the work to stop at its next step."""
        with self._lock:
            if not self._event.is_set():
                self.reason = reason
                self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise :class:`CancelledError` with the reason, where there is one."""
        if self._event.is_set():
            raise CancelledError(self.reason)
