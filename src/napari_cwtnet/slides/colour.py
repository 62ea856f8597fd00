"""Stored samples to RGB: depth, palette, alpha, and the ICC profile to sRGB."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from napari_cwtnet.slides.backend import Colour, Pixels

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
        image = Image.fromarray(np.ascontiguousarray(rgb))
        return np.array(self._transform.apply(image))


def over_background(pixels: Pixels, background: Colour) -> Pixels:
    """RGB pixels (h, w, 3) of RGBA ones (h, w, 4), straight alpha, laid on a colour."""
    if pixels.shape[2] == 3:
        return pixels
    rgb, alpha = pixels[..., :3], pixels[..., 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(rgb)
    weight = alpha.astype(np.uint32)
    mixed = rgb * weight + np.asarray(background, np.uint32) * (255 - weight)
    return ((mixed + 127) // 255).astype(np.uint8)


def to_uint8(samples: NDArray[np.generic], maximum: int) -> Pixels:
    """Unsigned samples from 0..``maximum`` to 0..255, rounded."""
    if maximum == 255 and samples.dtype == np.uint8:
        return np.asarray(samples, np.uint8)
    values = np.minimum(np.asarray(samples, np.float64), maximum)
    return np.rint(values * (255 / maximum)).astype(np.uint8)


def grey_to_rgb(pixels: Pixels) -> Pixels:
    """Three equal channels of one; (h, w, 1 or 2) to (h, w, 3 or 4), the second being alpha."""
    return np.concatenate([pixels[..., :1]] * 3 + [pixels[..., 1:2]], axis=2)


def straight_alpha(pixels: Pixels) -> Pixels:
    """RGBA pixels whose colours were stored multiplied by alpha, with straight colours."""
    alpha = np.maximum(pixels[..., 3:], 1).astype(np.float64)
    rgb = np.rint(np.minimum(pixels[..., :3] * (255 / alpha), 255)).astype(np.uint8)
    return np.concatenate([rgb, pixels[..., 3:]], axis=2)
