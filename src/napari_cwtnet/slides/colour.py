"""Stored samples to RGB: depth, palette, alpha, and the ICC profile to sRGB."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from napari_cwtnet.slides.backend import Colour, Pixels

_D50 = np.array([0.96422, 1.0, 0.82521])
_XYZ_TO_SRGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)
"""Of colours under D50, by Bradford's adaptation."""
_STRIPE_PIXELS = 2**20
_DATE = slice(24, 36)
"""Where the header of an ICC profile says when it was made."""


def _srgb_profile() -> bytes:
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    made[_DATE] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # else that of this moment
    return bytes(made)


SRGB_PROFILE = _srgb_profile()
"""ICC profile of sRGB, the colours of pixels that went through `ProfileToSrgb`."""


class ProfileToSrgb:
    """Pixels of one slide, from its ICC profile to sRGB; built once, used from any thread.

    Parameters
    ----------
    profile : bytes
        An ICC profile of an RGB device.

    Raises
    ------
    ValueError
        If the profile is broken or not for RGB; the message says what is wrong.
    """

    def __init__(self, profile: bytes) -> None:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            self._transform = ImageCms.buildTransform(
                source,
                ImageCms.createProfile("sRGB"),
                "RGB",
                "RGB",
                ImageCms.Intent(ImageCms.getDefaultIntent(source)),
            )
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
            raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error

    def __call__(self, rgb: Pixels) -> Pixels:
        """SRGB pixels of the same shape, (h, w, 3) uint8."""
        return by_stripes(self._stripe, rgb, 3)

    def _stripe(self, rgb: NDArray[Any]) -> Pixels:
        image = Image.fromarray(np.ascontiguousarray(rgb))
        return np.asarray(self._transform.apply(image))


def by_stripes(
    convert: Callable[[NDArray[Any]], Pixels], samples: NDArray[Any], channels: int
) -> Pixels:
    """What a function of pixels makes of an image, some rows at a time, to save memory.

    Parameters
    ----------
    convert : callable
        Of (rows, w, n) to (rows, w, ``channels``) uint8, pixel by pixel.
    samples : ndarray
        (h, w, n).
    channels : int
        Of the result.
    """
    height, width = samples.shape[:2]
    rows = max(1, _STRIPE_PIXELS // max(1, width))
    if height <= rows:
        return convert(samples)
    out = np.empty((height, width, channels), np.uint8)
    for start in range(0, height, rows):
        out[start : start + rows] = convert(samples[start : start + rows])
    return out


def over_background(pixels: Pixels, background: Colour) -> Pixels:
    """RGB pixels (h, w, 3) of RGBA ones (h, w, 4), straight alpha, laid on a colour."""
    if pixels.shape[2] == 3:
        return pixels
    if pixels[..., 3].min() == 255:
        return np.ascontiguousarray(pixels[..., :3])
    return by_stripes(lambda stripe: _mixed(stripe, background), pixels, 3)


def _mixed(pixels: NDArray[Any], background: Colour) -> Pixels:
    rgb, alpha = pixels[..., :3], pixels[..., 3:]
    weight = alpha.astype(np.uint32)
    mixed = rgb * weight + np.asarray(background, np.uint32) * (255 - weight)
    return ((mixed + 127) // 255).astype(np.uint8)


def to_uint8(samples: NDArray[np.generic], maximum: int) -> Pixels:
    """Unsigned samples (h, w, n) from 0..``maximum`` to 0..255, rounded."""
    if maximum == 255 and samples.dtype == np.uint8:
        return np.asarray(samples, np.uint8)
    if samples.dtype == np.uint16:
        table = _table(maximum)
        return by_stripes(lambda stripe: table[stripe], samples, samples.shape[2])
    return by_stripes(lambda stripe: _scaled(stripe, maximum), samples, samples.shape[2])


@lru_cache(maxsize=4)
def _table(maximum: int) -> NDArray[np.uint8]:
    return _scaled(np.arange(2**16), maximum)


def _scaled(samples: NDArray[Any], maximum: int) -> Pixels:
    values = np.minimum(np.asarray(samples, np.float64), maximum)
    return np.rint(values * (255 / maximum)).astype(np.uint8)


def grey_to_rgb(pixels: Pixels) -> Pixels:
    """Three equal channels of one; (h, w, 1 or 2) to (h, w, 3 or 4), the second being alpha."""
    return np.concatenate([pixels[..., :1]] * 3 + [pixels[..., 1:2]], axis=2)


def cmyk_to_rgb(pixels: NDArray[Any]) -> Pixels:
    """RGB of inks (h, w, 4) uint8, as if each took away its own colour and no other."""
    return by_stripes(_without_inks, pixels, 3)


def _without_inks(pixels: NDArray[Any]) -> Pixels:
    light = 255 - pixels.astype(np.uint16)
    rgb = (light[..., :3] * light[..., 3:].astype(np.uint32) + 127) // 255
    return np.asarray(rgb, np.uint8)


def ycbcr_to_rgb(pixels: Pixels) -> Pixels:
    """RGB of luma and chroma of full range, (h, w, 3) uint8, as JPEG has them."""
    return by_stripes(
        lambda stripe: np.asarray(
            Image.fromarray(np.ascontiguousarray(stripe), "YCbCr").convert("RGB")
        ),
        pixels,
        3,
    )


def lab_to_rgb(pixels: NDArray[Any], *, signed: bool) -> Pixels:
    """SRGB of CIE L*a*b* by D50, (h, w, 3) uint8.

    Parameters
    ----------
    pixels : ndarray
        (h, w, 3) uint8: L* in 0..255 for 0..100, and a* and b*.
    signed : bool
        Whether a* and b* are two's complement, as in TIFF's CIELAB; else 128 is their zero.
    """
    return by_stripes(lambda stripe: _lab_stripe(stripe, signed=signed), pixels, 3)


def _lab_stripe(pixels: NDArray[Any], *, signed: bool) -> Pixels:
    lightness = pixels[..., 0] * (100 / 255)
    a, b = (
        (plane.view(np.int8).astype(float) if signed else plane - 128.0)
        for plane in (np.ascontiguousarray(pixels[..., 1]), np.ascontiguousarray(pixels[..., 2]))
    )
    y = (lightness + 16) / 116
    cubes = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = _D50 * np.where(cubes > 6 / 29, cubes**3, (cubes - 4 / 29) * (108 / 841))
    linear = np.clip(xyz @ _XYZ_TO_SRGB.T, 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(rgb * 255), np.uint8)


def straight_alpha(pixels: Pixels) -> Pixels:
    """RGBA pixels whose colours were stored multiplied by alpha, with straight colours."""
    return by_stripes(_straight, pixels, 4)


def _straight(pixels: NDArray[Any]) -> Pixels:
    alpha = np.maximum(pixels[..., 3:], 1).astype(np.float64)
    rgb = np.rint(np.minimum(pixels[..., :3] * (255 / alpha), 255)).astype(np.uint8)
    return np.concatenate([rgb, pixels[..., 3:]], axis=2)
