"""What a user asks for, the same from dock, command line and Python."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

from napari_cwtnet.enhancement.grid import Grid
from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides.degradation import Degradation, Kernel

ReferenceChoice = Literal["auto", "next", "none"]
Sharpness = Literal["auto", "sharp", "medium", "soft", "softest"]

KERNELS: dict[str, Kernel] = {
    "sharp": Kernel("box"),
    "medium": Kernel("bicubic"),
    "soft": Kernel("gauss", 0.8),
    "softest": Kernel("gauss", 1.2),
}
"""What each sharpness stands for."""


@dataclass(frozen=True, slots=True)
class EnhanceRequest:
    """A region to enhance.

    Parameters
    ----------
    region : Region
        Level-0 pixels.
    downsample : float
        Level-0 pixels per LR pixel, at least 1.
    reference : {"auto", "next", "none"}
        WT input: the next-higher level, none, or what suits the model.
    grid : Grid, optional
        Where the tiles lie, so that regions share them; fitted to the region if none is given.
    sharpness : {"auto", "sharp", "medium", "soft", "softest"}
        How soft the slide is taken to be where its file does not tell: the softer, the more the
        model sharpens. ``auto`` leaves that to the model.

    Raises
    ------
    RequestError
        If the downsample is below 1, or the reference or the sharpness is unknown.
    """

    region: Region
    downsample: float
    reference: ReferenceChoice = "auto"
    grid: Grid | None = None
    sharpness: Sharpness = "auto"

    def __post_init__(self) -> None:
        if not math.isfinite(self.downsample) or self.downsample < 1:
            raise RequestError(
                f"Downsample {self.downsample:g} is below 1; the slide's finest level is 1, so "
                "give a number of at least 1."
            )
        if self.reference not in get_args(ReferenceChoice):
            raise RequestError(
                f"Reference {self.reference!r} is unknown; choose auto, next or none."
            )
        if self.sharpness not in get_args(Sharpness):
            raise RequestError(
                f"Sharpness {self.sharpness!r} is unknown; choose one of "
                f"{', '.join(get_args(Sharpness))}."
            )


def with_sharpness(degradation: Degradation, sharpness: Sharpness) -> Degradation:
    """The degradation with the kernel that a sharpness stands for, where none is known."""
    if sharpness == "auto" or degradation.kernel is not None:
        return degradation
    return replace(degradation, kernel=KERNELS[sharpness], sharpening=0.0, kernel_source="assumed")


def suiting_downsample(screen_pixel: float, scale: int) -> float:
    """The LR downsample at which SR pixels meet screen pixels.

    Parameters
    ----------
    screen_pixel : float
        Level-0 pixels per screen pixel, above 0.
    scale : int
        SR pixels per LR pixel along each axis.

    Returns
    -------
    float
        ``max(1, scale · 2^round(log2 screen_pixel))``.

    >>> suiting_downsample(0.9, 4), suiting_downsample(0.1, 4)
    (4.0, 1.0)
    """
    return max(1.0, float(scale * 2.0 ** round(math.log2(screen_pixel))))
