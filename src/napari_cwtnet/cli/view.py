"""``view``: napari with a slide and the docks."""

from __future__ import annotations

import argparse

from napari_cwtnet.errors import RequestError
from napari_cwtnet.plugin.app import napari_available, view
from napari_cwtnet.slides import open_slide


def run(arguments: argparse.Namespace) -> int:
    """Open the window; returns when it is closed."""
    reason = napari_available()
    if reason is not None:
        raise RequestError(reason)
    open_slide(arguments.slide, image=arguments.image).close()  # bad input ends in one line
    return view(arguments.slide, arguments.image)
