"""A smooth analytic pattern, known at every place of a slide, and pyramids made of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_cwtnet.geometry import Region

WIDTH, HEIGHT = 731, 517


def pattern(region: Region, downsample: float) -> NDArray[np.float64]:
    """Means of the pattern over each output pixel, (h, w, 3), by its integral in closed form."""
    width, height = region.size_at(downsample)
    x = region.x + (np.arange(width)[np.newaxis] + 0.5) * downsample
    y = region.y + (np.arange(height)[:, np.newaxis] + 0.5) * downsample
    waves = [
        mean_cos(x, 61.0, downsample) * mean_cos(y, 83.0, downsample),
        mean_cos(x, 97.0, downsample) + 0 * y,
        mean_cos(y, 71.0, downsample) + 0 * x,
    ]
    return np.dstack([128 + 100 * wave for wave in waves])


def mean_cos(centre: NDArray[np.float64], period: float, extent: float) -> NDArray[np.float64]:
    """Mean of a cosine over pixels of an extent."""
    return np.cos(2 * np.pi * centre / period) * np.sinc(extent / period)


def stored(factor: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """A level of the pyramid, its size rounded down as scanners do."""
    size = Region(0, 0, (width // factor) * factor, (height // factor) * factor)
    return np.rint(pattern(size, factor)).astype(np.uint8)


def write_tiff(path: Path, factors: tuple[int, ...] = (1, 2, 4), **options: object) -> Path:
    """A generic pyramidal TIFF with pages flagged as reduced."""
    with tifffile.TiffWriter(path) as writer:
        for factor in factors:
            writer.write(
                stored(factor),
                tile=(128, 128),
                photometric="rgb",
                subfiletype=0 if factor == 1 else 1,
                metadata=None,
                **options,
            )
    return path


def write_ome(path: Path, mpp: float = 0.25, unit: str = "µm") -> Path:
    """An OME-TIFF with its reduced levels in SubIFDs."""
    metadata = {
        "axes": "YXS",
        "PhysicalSizeX": mpp, "PhysicalSizeXUnit": unit,
        "PhysicalSizeY": mpp, "PhysicalSizeYUnit": unit,
    }  # fmt: skip
    options = {"tile": (128, 128), "photometric": "rgb", "compression": "zlib"}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(stored(1), subifds=2, metadata=metadata, **options)
        writer.write(stored(2), subfiletype=1, **options)
        writer.write(stored(4), subfiletype=1, **options)
    return path


def shift(a: NDArray[np.generic], b: NDArray[np.generic]) -> tuple[float, float]:
    """Sub-pixel shift (x, y) of ``b`` against ``a``, by least squares on their gradients."""
    first, second = (np.asarray(i, np.float64).mean(axis=2) for i in (a, b))
    down, right = np.gradient((first + second) / 2)
    inner = (slice(2, -2), slice(2, -2))
    gradients = np.stack([right[inner].ravel(), down[inner].ravel()], axis=1)
    difference = (first - second)[inner].ravel()
    solution = np.linalg.lstsq(gradients, difference, rcond=None)[0]
    return float(solution[0]), float(solution[1])


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file of an array."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
