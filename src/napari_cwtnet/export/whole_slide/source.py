"""Whether a slide is still what a run began with: its files, and the pixels that were read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_cwtnet.enhancement import Plan
from napari_cwtnet.export.whole_slide.blocks import owns
from napari_cwtnet.export.whole_slide.job import JobContext

_OF_A_FOLDER = {".dcm", ".vms", ".vmu"}
"""Slides of several files, which lie beside the one that is opened."""


def files_digest(slide: Path) -> str:
    """Hex digits that change when a file of a slide is written, replaced, moved or removed.

    They say nothing of pixels: a slide that was copied has others.
    """
    found = hashlib.sha256()
    for path in _files(slide):
        state = path.stat()
        told = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        found.update(repr(told).encode())
    return found.hexdigest()


def pixels_digest(context: JobContext, part: Plan) -> str:
    """Hex digits of all that the network is given for the tiles that a part of the image owns."""
    found = hashlib.sha256()
    for tile in part.tiles:
        if owns(part, tile):
            for image in context.engine.read(context.slide, context.plan, tile):
                if image is not None:
                    found.update(np.ascontiguousarray(image).data)
    return found.hexdigest()


def _files(slide: Path) -> Iterator[Path]:
    folders = [slide, slide.with_suffix("")]  # an OME-Zarr, or what belongs to an MRXS file
    if slide.is_file():
        yield slide
    if slide.suffix.lower() in _OF_A_FOLDER:
        yield from sorted(one for one in slide.parent.iterdir() if one.is_file())
    for folder in dict.fromkeys(folders):
        if folder.is_dir():
            yield from sorted(one for one in folder.rglob("*") if one.is_file())
