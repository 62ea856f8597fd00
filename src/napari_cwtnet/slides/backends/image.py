"""Plain images (PNG, JPEG, BMP, WebP), through Pillow: one level, held in memory."""

from __future__ import annotations

import hashlib
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from napari_cwtnet.errors import SlideError
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.backend import WHITE, Colour, Level, Pixels
from napari_cwtnet.slides.backends.tiff_pages import DECODE_ERRORS, range_note
from napari_cwtnet.slides.colour import to_uint8
from napari_cwtnet.slides.compression import Codec, Encoding
from napari_cwtnet.slides.resolution import stated_resolution, tag_resolution

MAX_PIXELS = 2**27
"""Pixels of the largest plain image that is opened (134 Mpx, 400 MB in memory)."""

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_CODECS: dict[str, Codec] = {
    "png": "lossless", "bmp": "lossless", "jpeg": "jpeg", "mpo": "jpeg", "webp": "webp",
}  # fmt: skip
_HEAD_BYTES = 2**20
"""Of a file; before the tables there may be a colour profile and a thumbnail."""
_TILE = 512
_INCH = 2
_PILLOW_ERRORS = (*DECODE_ERRORS, EOFError, SyntaxError, zlib.error)


class ImageBackend:
    """A plain image.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    SlideError
        If it is no such image, is broken, or has more than `MAX_PIXELS`.
    """

    background: Colour = WHITE
    origin = (0, 0)

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with warnings.catch_warnings():
                # The limit here is a lower one, and an error.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(path, formats=_FORMATS)
        except UnidentifiedImageError:
            raise SlideError(
                f"File {path.name!r} is not a slide or image in a format that can be read; "
                "open a whole-slide file, a TIFF, PNG or JPEG."
            ) from None
        except Image.DecompressionBombError as error:
            raise _too_large(path.name, " ".join(str(error).split())) from error
        except _PILLOW_ERRORS as error:
            raise _broken(path.name, error) from error
        with image:
            size = Size(*image.size)
            if size.width * size.height > MAX_PIXELS:
                raise _too_large(path.name, f"{size.width} × {size.height}")
            try:
                upright = ImageOps.exif_transpose(image)
                pixels = _pixels(upright)
                self.notes = tuple(_notes(upright))
            except _PILLOW_ERRORS as error:
                raise _broken(path.name, error) from error
            self.format = str(image.format).lower()
            self.icc_profile: bytes | None = image.info.get("icc_profile")
            self.properties: Mapping[str, str] = {
                f"{self.format}.{name}": str(value)
                for name, value in image.info.items()
                if isinstance(value, str | int | float | tuple)
            }
            dpi = image.info.get("dpi")
            if dpi and upright.size != image.size:
                dpi = (dpi[1], dpi[0])
            size = Size(*upright.size)
        self.resolution = (
            tag_resolution(float(dpi[0]), float(dpi[1]), _INCH)
            if dpi
            else stated_resolution(None, None, "pixel size")
        )
        self.levels: tuple[Level, ...] = (Level(1.0, size, Size(_TILE, _TILE)),)
        self._images = [pixels]

    def read_tile(self, level: int, column: int, row: int) -> Pixels:
        """One tile, cut at the image's edge: (h, w, 3) RGB or (h, w, 4) RGBA, uint8."""
        y, x = row * _TILE, column * _TILE
        return self._images[level][y : y + _TILE, x : x + _TILE].copy()

    def encoding(self, _level: int) -> Encoding | None:
        """How the file is encoded; None where that is not known."""
        codec = _CODECS[self.format]
        if codec == "lossless":
            return Encoding(codec)
        try:
            with self._path.open("rb") as file:
                return Encoding(codec, tiles=(file.read(_HEAD_BYTES),))
        except OSError:
            return None

    def identity(self) -> Iterator[bytes]:
        """Hash of the pixels."""
        yield hashlib.sha256(self._images[0].tobytes()).digest()

    def close(self) -> None:
        """Let go of the pixels."""
        self._images.clear()


def _notes(image: Image.Image) -> Iterator[str]:
    if image.mode.startswith("I"):
        yield from range_note(int(np.asarray(image).max()), 65535)


def _pixels(image: Image.Image) -> Pixels:
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image)
        if image.mode == "F":
            raise ValueError("floating-point samples are not supported, save it as 8-bit")
        # Pillow gives 16-bit PNG as 32-bit integers in some versions.
        return np.repeat(to_uint8(np.maximum(grey, 0), 65535)[..., np.newaxis], 3, axis=2)
    transparent = "A" in image.getbands() or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if transparent else "RGB"))


def _too_large(name: str, size: str) -> SlideError:
    return SlideError(
        f"Image {name!r} is too large to be opened whole ({size}, at most {MAX_PIXELS} pixels); "
        "convert it to a tiled pyramidal TIFF."
    )


def _broken(name: str, error: BaseException) -> SlideError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return SlideError(
        f"Image {name!r} cannot be decoded: {reason}; copy the file again from its source."
    )
