"""Memory that nobody uses any more goes back to the system."""

from __future__ import annotations

import ctypes
import gc
import sys

import torch


def give_back_memory() -> None:
    """Return what was let go of before: torch's reserves on a device, and the host's free pages.

    The C library keeps freed memory for later unless it is told otherwise; only glibc can be told.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)
