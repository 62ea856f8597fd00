"""The slide that a command's words name."""

from __future__ import annotations

import argparse

from napari_cwtnet.slides import Slide, open_slide


def opened_slide(arguments: argparse.Namespace) -> Slide:
    """The slide, open, with the pixel size, colours and image that the words ask for.

    Raises
    ------
    CwtnetError
        If it cannot be opened so.
    """
    return open_slide(
        arguments.slide,
        mpp=arguments.mpp,
        icc=not getattr(arguments, "no_icc", False),
        image=arguments.image,
    )
