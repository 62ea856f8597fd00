"""Checks the view: the model against the slide's own pixels, beside the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement.check import Check, check
from napari_cwtnet.plugin.tasks.device import Engines
from napari_cwtnet.plugin.tasks.enhance import Job
from napari_cwtnet.plugin.tasks.inspect import Inspector, Task


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found, and of what."""

    job: Job
    check: Check
    slide_layer: Any


class Checker(QObject):
    """One check at a time, the newest; keeps what the last one found.

    Parameters
    ----------
    engines : Engines
        Shared with the enhancements of the dock.
    parent : QObject, optional
        Qt's.

    Attributes
    ----------
    runner : Inspector
        Does the work; has progress, cancel and end.
    found : Checked or None
        Of the last check, until the next one begins or its slide goes.
    changed : Signal
        ``found`` is another one.
    """

    changed = Signal()

    def __init__(self, engines: Engines, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.runner = Inspector(self)
        self.found: Checked | None = None
        self._engines = engines
        self._layer: Any = None

    def start(self, job: Job, slide_layer: Any) -> None:
        """Check, in place of any other check."""

        def answer(check: Check) -> None:
            self._set(Checked(job, check, slide_layer))

        self._layer = slide_layer
        self._set(None)
        self.runner.start(Task("Checking…", partial(_check, self._engines, job), answer, "Check"))

    def forget_layer(self, layer: Any) -> None:
        """Drop what is known of a slide that is shown no more."""
        if layer != self._layer:
            return
        self._layer = None
        self.runner.cancel()
        self._set(None)

    def _set(self, found: Checked | None) -> None:
        self.found = found
        self.changed.emit()


def _check(
    engines: Engines, job: Job, cancel: CancelToken, _steps: Callable[[int, int], None]
) -> Check:
    request = job.request
    return check(
        job.slide,
        engines.get(job.model, job.device, job.dtype).model,
        [request.region],
        request.downsample,
        reference=request.reference,
        sharpness=request.sharpness,
        device=job.device,
        dtype=job.dtype,
        cancel=cancel,
    )
