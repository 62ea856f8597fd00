"""``resample``: a slide at an exact pixel size."""

from __future__ import annotations

import argparse
from typing import Any

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.cli.many_slides import run_for_slides
from napari_cwtnet.cli.report import Bars, stopped_by_interrupt
from napari_cwtnet.cli.terminal import complain
from napari_cwtnet.errors import CancelledError
from napari_cwtnet.export.resample import resample


def run(arguments: argparse.Namespace) -> int:
    """Resample, write, report."""
    return run_for_slides(arguments, _resample_one, arguments.ending)


def _resample_one(arguments: argparse.Namespace) -> dict[str, Any] | None:
    cancel = CancelToken()
    with stopped_by_interrupt(cancel, "stopping; what a model has computed is kept"):
        try:
            return resample(
                arguments.slide,
                arguments.mpp,
                arguments.output,
                by=arguments.model,
                native_mpp=arguments.native_mpp,
                image=arguments.image,
                device=arguments.device,
                cancel=cancel,
                progress=Bars(),
            )
        except CancelledError as stopped:
            complain(stopped)
            return None
