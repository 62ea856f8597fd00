"""Make of a fine image the coarser one that a scanner would have stored."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_cwtnet.slides.backend import Pixels
from napari_cwtnet.slides.degradation import (
    SHARPENING_SIGMA,
    Compression,
    Degradation,
    Kernel,
    kernel_taps,
)

_PILLOW = {
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}
_SUBSAMPLING = {"444": 0, "422": 1, "420": 2}
_REACH = 3.0

ZIGZAG = tuple(
    place
    for _, _, place in sorted(
        (r + c, r if (r + c) % 2 else c, 8 * r + c) for r in range(8) for c in range(8)
    )
)
"""Places (row · 8 + column) of a JPEG table's values in the order of the file."""


def degrade(
    image: Pixels,
    degradation: Degradation,
    factor: int = 2,
    *,
    random: np.random.Generator | None = None,
    grid: tuple[int, int] = (0, 0),
) -> Pixels:
    """Shrink an image and treat it as a degradation says; what is not known is left out.

    Parameters
    ----------
    image : ndarray
        ``(h, w, 3)`` uint8 RGB; sides that ``factor`` does not divide are cut.
    degradation : Degradation
        Kernel (2×2 mean where it is not known), sharpening, noise and compression.
    factor : int
        A power of two, at least 1; with 1 there is no kernel.
    random : numpy.random.Generator, optional
        Of the noise.
    grid : (x, y)
        Pixels by which the codec's 8 × 8 blocks begin before the image, 0..7 (15 where chroma is
        subsampled).

    Returns
    -------
    ndarray
        ``(h // factor, w // factor, 3)`` uint8.
    """
    small = shrink(image, degradation.kernel or Kernel("box"), factor)
    if degradation.sharpening or degradation.noise:
        values = small.astype(np.float32)
        if degradation.sharpening:
            values += degradation.sharpening * (values - _blurred(values, SHARPENING_SIGMA))
        if degradation.noise:
            random = random or np.random.default_rng(0)
            values += random.normal(0, degradation.noise, values.shape).astype(np.float32)
        small = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    if degradation.compression is None:
        return small
    return compress(small, degradation.compression, grid)


def shrink(image: Pixels, kernel: Kernel, factor: int) -> Pixels:
    """``(h, w, 3)`` uint8 shrunk by a power of two, aligned on the outer corners."""
    if factor == 1:
        return image
    height, width = image.shape[0] // factor, image.shape[1] // factor
    image = image[: height * factor, : width * factor]
    method = _PILLOW.get("box" if kernel.name == "gauss" and not kernel.sigma else kernel.name)
    if method is not None:
        return np.asarray(Image.fromarray(image).resize((width, height), method))
    taps = np.asarray(kernel_taps(kernel, factor), np.float32)
    values = _strided(_strided(image.astype(np.float32), taps, factor).swapaxes(0, 1), taps, factor)
    return np.clip(np.rint(values.swapaxes(0, 1)), 0, 255).astype(np.uint8)


def shrink_exactly(image: Pixels, kernel: Kernel, factor: int) -> NDArray[np.float32]:
    """As :func:`shrink`, in floating point: without rounding to levels, and without clipping."""
    method = _PILLOW.get("box" if kernel.name == "gauss" and not kernel.sigma else kernel.name)
    values = image.astype(np.float32)
    if factor == 1:
        return values
    if method is None:
        taps = np.asarray(kernel_taps(kernel, factor), np.float32)
        return _strided(_strided(values, taps, factor).swapaxes(0, 1), taps, factor).swapaxes(0, 1)
    size = image.shape[1] // factor, image.shape[0] // factor
    planes = (Image.fromarray(values[..., channel]).resize(size, method) for channel in range(3))
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def compress(image: Pixels, compression: Compression, grid: tuple[int, int] = (0, 0)) -> Pixels:
    """What is left of ``(h, w, 3)`` uint8 RGB after a codec; as it is where that is lossless."""
    if compression.kind not in ("jpeg", "jpeg2000"):
        return image
    x, y = grid
    padded = np.pad(image, ((y, 0), (x, 0), (0, 0)), mode="edge") if x or y else image
    stream = io.BytesIO()
    if compression.kind == "jpeg":
        tables = _pillow_tables(compression)
        quality = {"qtables": tables} if tables else {"quality": compression.quality or 75}
        subsampling = _SUBSAMPLING[compression.subsampling or "420"]
        Image.fromarray(padded).save(
            stream, "JPEG", subsampling=subsampling, keep_rgb=compression.rgb, **quality
        )
    else:
        ratio = 24 / max(0.05, compression.rate or 24)
        Image.fromarray(padded).save(
            stream, "JPEG2000", quality_mode="rates", quality_layers=[ratio], irreversible=True
        )
    with Image.open(stream) as decoded:
        return np.asarray(decoded.convert("RGB"))[y:, x:]


def _pillow_tables(compression: Compression) -> list[list[int]]:
    """In the order of rows, which is how Pillow takes them."""
    ordered = []
    for table in compression.tables:
        rows = [0] * 64
        for position, place in enumerate(ZIGZAG):
            rows[place] = table[position]
        ordered.append(rows)
    return ordered


def _strided(
    values: NDArray[np.float32], taps: NDArray[np.float32], factor: int
) -> NDArray[np.float32]:
    """Filter along the first axis and keep every ``factor``-th place."""
    count = values.shape[0] // factor
    before = (len(taps) - factor) // 2
    padded = np.pad(values, ((before, before), (0, 0), (0, 0)), mode="edge")
    out = np.zeros((count, *values.shape[1:]), np.float32)
    for position, tap in enumerate(taps):
        if tap:
            out += tap * padded[position : position + factor * count : factor]
    return out


def _blurred(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    reach = int(np.ceil(_REACH * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    taps /= taps.sum()
    along = _strided(values, taps, 1).swapaxes(0, 1)
    return _strided(along, taps, 1).swapaxes(0, 1)
