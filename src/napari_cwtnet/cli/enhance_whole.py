"""``enhance --region all``: images too large for the memory, block by block."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.cli.interrupt import stopped_by_interrupt
from napari_cwtnet.cli.report import Progress
from napari_cwtnet.enhancement import Grid
from napari_cwtnet.errors import CancelledError
from napari_cwtnet.export.whole_slide import Job, WholeResult, enhance_to_file
from napari_cwtnet.geometry import Region


def is_asked_for(arguments: argparse.Namespace) -> bool:
    """Whether the words say so, however large the image is; a PNG is written at once."""
    if arguments.resume or arguments.scheduler or arguments.block:
        return True
    return arguments.region == "all" and not arguments.output.name.lower().endswith(".png")


def enhanced(arguments: argparse.Namespace, region: Region | None) -> WholeResult | None:
    """Enhance into the file; None after Ctrl-C, which leaves what can be resumed.

    Raises
    ------
    CwtnetError
        If it cannot be done; one line says why.
    """
    job = Job(
        slide=arguments.slide.absolute(),
        model=_where(arguments.model),
        region=region,
        downsample=arguments.downsample,
        reference=arguments.reference,
        device=arguments.device,
        dtype=arguments.dtype,
        grid=None if arguments.grid is None else Grid.parse(arguments.grid),
        skip_background=not arguments.no_skip_background,
        sharpness=arguments.sharpness,
        mpp=arguments.mpp,
        icc=not arguments.no_icc,
    )
    cancel, bars = CancelToken(), _Bars()
    with stopped_by_interrupt(cancel, "stopping; blocks that are done are kept"):
        try:
            return enhance_to_file(
                job,
                arguments.output,
                resume=arguments.resume,
                scheduler=arguments.scheduler,
                block=arguments.block,
                space_check=not arguments.no_space_check,
                cancel=cancel,
                told=bars,
            )
        except CancelledError as stopped:
            print(f"napari-cwtnet: {stopped}", file=sys.stderr)
            return None


def _where(model: str) -> str:
    """A weights file by its whole path, for a worker that stands elsewhere; a name as it is."""
    path = Path(model)
    return str(path.absolute()) if path.is_file() else model


class _Bars:
    """A bar for the tiles, then one for the levels, then one for the parts of the file."""

    def __init__(self) -> None:
        self._bars: dict[str, Progress] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say how far it is."""
        self._bars.setdefault(what, Progress(what))(done, total)
