"""`ArraySlide`: a pyramid of arrays in memory as a slide, told what its levels went through.

So a model can be tried on levels that were made of known pixels, while the finest holds the truth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region, Size
from napari_cwtnet.slides.backend import WHITE, Level, Pixels
from napari_cwtnet.slides.compression import Encoding
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation
from napari_cwtnet.slides.resample import Filter
from napari_cwtnet.slides.resolution import stated_resolution
from napari_cwtnet.slides.slide import Slide

_TILE = 512


class ArraySlide(Slide):
    """Arrays as the levels of a slide.

    Parameters
    ----------
    images : mapping of int to ndarray
        By downsample, a power of two, ``(h, w, 3)`` uint8 RGB; the finest has 1.
    degradations : mapping of int to Degradation
        What is known of them; nothing is known of those left out.
    mpp : float, optional
        µm per pixel of the finest.
    name : str
        Stands for a file's name.

    Raises
    ------
    RequestError
        If there is no image of downsample 1, or the others are not of its size divided by theirs.
    """

    def __init__(
        self,
        images: Mapping[int, Pixels],
        degradations: Mapping[int, Degradation] | None = None,
        mpp: float | None = None,
        name: str = "array",
    ) -> None:
        super().__init__(Path(name), _ArrayBackend(images), mpp, icc=False)
        self._known = dict(degradations or {})

    def read(
        self,
        region: Region,
        downsample: float,
        *,
        replicate: bool = False,
        source: float | None = None,  # noqa: ARG002
        by: Filter = "bicubic",
        registered: bool = False,  # noqa: ARG002
    ) -> Pixels:
        """As of any slide, but never from a finer level than is needed: that would be another LR.

        See :meth:`Slide.read`; ``source`` and ``registered`` are ignored.
        """
        return super().read(region, downsample, replicate=replicate, by=by)

    def degradation(
        self,
        downsample: float,
        *,
        source: float | None = None,  # noqa: ARG002
    ) -> Degradation:
        """What pixels of a downsample went through, where it was said of a level."""
        return self._known.get(round(downsample), UNKNOWN)

    def shift(
        self,
        downsample: float,  # noqa: ARG002
        *,
        source: float | None = None,  # noqa: ARG002
    ) -> tuple[float, float]:
        """None: arrays are where they are said to be."""
        return (0.0, 0.0)


class _ArrayBackend:
    format = "array"
    background = WHITE
    icc_profile: bytes | None = None
    notes: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    image = 0
    default_image: int | None = 0
    origin = (0, 0)

    def __init__(self, images: Mapping[int, Pixels]) -> None:
        if 1 not in images:
            raise RequestError("A slide of arrays needs an image of downsample 1; give one.")
        height, width = images[1].shape[:2]
        for downsample, image in images.items():
            if image.shape != (height // downsample, width // downsample, 3):
                raise RequestError(
                    f"The image of downsample {downsample} has shape {image.shape}; give "
                    f"{(height // downsample, width // downsample, 3)}."
                )
        self._images = [images[downsample] for downsample in sorted(images)]
        self.levels = tuple(
            Level(float(d), Size(width // d, height // d), Size(_TILE, _TILE))
            for d in sorted(images)
        )
        self.resolution = stated_resolution(None, None, "pixel size")
        self.properties: Mapping[str, str] = {}

    def read_tile(self, level: int, column: int, row: int) -> Pixels:
        """One tile, cut at the level's edge: (h, w, 3) RGB."""
        y, x = row * _TILE, column * _TILE
        return self._images[level][y : y + _TILE, x : x + _TILE].copy()

    def encoding(self, _level: int) -> Encoding | None:
        """Arrays are not encoded."""
        return None

    def identity(self) -> Iterator[bytes]:
        """Hashes of all levels: they are made, and the finest does not say how."""
        for image in self._images:
            yield hashlib.sha256(image.tobytes()).digest()

    def close(self) -> None:
        """Let go of the arrays."""
        self._images.clear()
