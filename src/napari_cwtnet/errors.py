"""Errors that a user can act on: each message says what, which value, and what to do."""

from __future__ import annotations


class CwtnetError(Exception):
    """Base of every error that this package raises on purpose."""


class SlideError(CwtnetError):
    """A slide cannot be opened or read."""


class RequestError(CwtnetError):
    """A region, downsample, reference or device that cannot be served."""


class ModelError(CwtnetError):
    """A model is unknown, or its weights file is unreadable or not to be trusted."""


class OutputError(CwtnetError):
    """A result cannot be written."""


class TrainingError(CwtnetError):
    """A training run cannot start or go on."""


class CancelledError(CwtnetError):
    """The work was cancelled before it was complete."""
