"""What every file reader offers to `Slide`: stored tiles and metadata, nothing computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.slides.compression import Encoding
from napari_cwtnet.slides.levels import Level
from napari_cwtnet.slides.resolution import Resolution

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)


class Backend(Protocol):
    """One open file.

    Attributes
    ----------
    format : str
        Short lower-case name of the format, such as ``"aperio"`` or ``"ome-tiff"``.
    levels : tuple of Level
        Finest first.
    resolution : Resolution
        What the file says about its pixel size, checked.
    properties : Mapping of str to str
        Metadata as the file has it.
    background : tuple of int
        RGB colour of places without pixels, 0..255.
    icc_profile : bytes or None
        Embedded colour profile.
    notes : tuple of str
        What of the file is not used, or taken otherwise than some readers do; one line each.
    origin : tuple of int
        The level-0 pixel from which QuPath counts its coordinates.
    """

    format: str
    levels: tuple[Level, ...]
    resolution: Resolution
    properties: Mapping[str, str]
    background: Colour
    icc_profile: bytes | None
    notes: tuple[str, ...]
    origin: tuple[int, int]

    def read_tile(self, level: int, column: int, row: int) -> Pixels:
        """One tile, cut at the level's edge: (h, w, 3) RGB or (h, w, 4) RGBA, uint8.

        Raises
        ------
        SlideError
            If the file cannot be read or decoded there.
        """

    def encoding(self, level: int) -> Encoding | None:
        """How the tiles of a level are encoded; None where that is not known.

        Raises
        ------
        SlideError
            If the file cannot be read there.
        """

    def identity(self) -> Iterator[bytes]:
        """Bytes that tell this slide's image from others; never from the label image."""

    def close(self) -> None:
        """Let go of the file."""
