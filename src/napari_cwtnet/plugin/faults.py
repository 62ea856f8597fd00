"""What went wrong in a thread, in one line for the window."""

from __future__ import annotations

import logging

import torch

from napari_cwtnet.errors import CwtnetError


def fault_words(error: Exception, work: str, no_memory: str) -> str:
    """The message of an error; one that nobody foresaw is a fault, and logged.

    Parameters
    ----------
    error : Exception
        Whatever ended the work: the window must not wait for ever.
    work : str
        What failed, such as ``"Inspection"``.
    no_memory : str
        What to say, and to do, where there was not enough memory.
    """
    if isinstance(error, CwtnetError):
        return str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return no_memory
    logging.getLogger(__name__).error("%s failed", work, exc_info=error)
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{work} failed: {type(error).__name__}: {first}"
