"""Plain images (PNG, JPEG, BMP, WebP), through Pillow: one level, held in memory."""

from __future__ import annotations

import hashlib
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from napari_cwtnet.errors import SlideError
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.backend import WHITE, Colour, Level, Pixels
from napari_cwtnet.slides.backends.tiff_pages import DECODE_ERRORS, range_note
from napari_cwtnet.slides.colour import to_uint8
from napari_cwtnet.slides.compression import Codec, Encoding
from napari_cwtnet.slides.decode_budget import check_decode
from napari_cwtnet.slides.resolution import stated_resolution, tag_resolution

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_CODECS: dict[str, Codec] = {
    "png": "lossless", "bmp": "lossless", "jpeg": "jpeg", "mpo": "jpeg", "webp": "webp",
}  # fmt: skip
_HEAD_BYTES = 2**20
"""Of a file; before the tables there may be a colour profile and a thumbnail."""
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""Of a pixel in Pillow's memory; four of all other modes."""
_PROGRESSIVE, _WEBP = 6, 12
"""More bytes of a pixel, while it is decoded."""
_ORIENTATION = 274
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
        If it is no such image, is broken, or needs too much memory.
    """

    background: Colour = WHITE
    origin = (0, 0)
    images: tuple[str, ...] = ()
    image = 0
    default_image: int | None = 0

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
            raise SlideError(
                f"Image {path.name!r} is too large to be opened whole "
                f"({' '.join(str(error).split())}); convert it to a tiled pyramidal TIFF."
            ) from error
        except _PILLOW_ERRORS as error:
            raise _broken(path.name, error) from error
        with image:
            size = Size(*image.size)
            what = f"an image of {size.width} × {size.height} pixels as a whole"
            check_decode(path.name, what, size.width * size.height * _bytes_per_pixel(image))
            try:
                image.load()
                self.orientation = _orientation(image)
                self.notes = tuple(_notes(image))
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
        self.resolution = (
            tag_resolution(float(dpi[0]), float(dpi[1]), _INCH)
            if dpi
            else stated_resolution(None, None, "pixel size")
        )
        self.levels: tuple[Level, ...] = (Level(1.0, size, Size(_TILE, _TILE)),)
        self._images = [image]

    def read_tile(self, level: int, column: int, row: int) -> Pixels:
        """One tile, cut at the image's edge: (h, w, 3) RGB or (h, w, 4) RGBA, uint8."""
        width, height = self.levels[level].size
        x, y = column * _TILE, row * _TILE
        box = (x, y, min(x + _TILE, width), min(y + _TILE, height))
        return _pixels(self._images[level].crop(box))

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
        image, digest = self._images[0], hashlib.sha256()
        for top in range(0, image.height, _TILE):
            stripe = image.crop((0, top, image.width, min(top + _TILE, image.height)))
            digest.update(_pixels(stripe).tobytes())
        yield digest.digest()

    def close(self) -> None:
        """Let go of the pixels."""
        self._images.clear()


def _notes(image: Image.Image) -> Iterator[str]:
    if image.mode.startswith("I"):
        yield from range_note(int(np.max(image.getextrema())), 65535)


def _bytes_per_pixel(image: Image.Image) -> int:
    more = _PROGRESSIVE if image.info.get("progressive") else 0
    return _BYTES.get(image.mode, 4) + (_WEBP if image.format == "WEBP" else more)


def _orientation(image: Image.Image) -> int:
    found: object = image.getexif().get(_ORIENTATION)
    return found if isinstance(found, int) and found in range(1, 9) else 1


def _pixels(image: Image.Image) -> Pixels:
    if image.mode.startswith("I"):
        # Pillow gives 16-bit PNG as 32-bit integers in some versions.
        grey = np.maximum(np.asarray(image)[..., np.newaxis], 0)
        return np.repeat(to_uint8(grey, 65535), 3, axis=2)
    transparent = "A" in image.getbands() or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if transparent else "RGB"))


def _broken(name: str, error: BaseException) -> SlideError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return SlideError(
        f"Image {name!r} cannot be decoded: {reason}; copy the file again from its source."
    )
