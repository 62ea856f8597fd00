"""What made an image of a finer one: kernel, sharpening, noise and compression, as far as known."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from napari_cwtnet.errors import RequestError

KernelName = Literal["bicubic", "box", "bilinear", "lanczos", "gauss", "fitted"]
Subsampling = Literal["444", "422", "420"]
Source = Literal["read", "fitted", "estimated", "assumed"]

KERNELS: tuple[KernelName, ...] = ("bicubic", "box", "bilinear", "lanczos", "gauss")
SUBSAMPLINGS: tuple[Subsampling, ...] = ("444", "422", "420")
SHARPENING_SIGMA = 1.0
"""Of the Gaussian in the unsharp mask, pixels of the coarser image."""

_SPEC = re.compile(
    r"(?P<kernel>bicubic|box|bilinear|lanczos|gauss(?P<sigma>\d+(\.\d+)?))"
    r"(\+sharpen(?P<sharpen>\d+(\.\d+)?))?"
    r"(\+noise(?P<noise>\d+(\.\d+)?))?"
    r"(\+jpeg(?P<quality>\d+)(-(?P<subsampling>444|422|420))?)?"
)
_MOST = {"sigma": 4.0, "sharpen": 4.0, "noise": 64.0}
_SAMPLING_WORDS = {"444": "4:4:4", "422": "4:2:2", "420": "4:2:0"}
_KERNEL_WORDS = {"box": "2×2 mean", "fitted": "a kernel of its own"}


@dataclass(frozen=True, slots=True)
class Kernel:
    """The filter between one octave and the next, separable.

    Parameters
    ----------
    name : str
        One of :data:`KERNELS`, or ``fitted`` for one that is none of them.
    sigma : float
        Of ``gauss``: a Gaussian of so many pixels of the finer image, then the 2×2 mean.
    taps : tuple of float
        Of ``fitted``: weights of the finer image's pixels, symmetric about the coarser pixel's
        centre, of even number, with sum 1.
    """

    name: KernelName
    sigma: float = 0.0
    taps: tuple[float, ...] = ()

    def __str__(self) -> str:
        """As in a SPEC."""
        return f"gauss{self.sigma:g}" if self.name == "gauss" else self.name


@dataclass(frozen=True, slots=True)
class Compression:
    """The codec that an image went through.

    Parameters
    ----------
    kind : {"none", "jpeg", "jpeg2000", "other"}
        ``other`` is lossy in a way that this package does not know.
    quality : int, optional
        JPEG: of the libjpeg tables nearest to the file's own, 1..100.
    subsampling : {"444", "422", "420"}, optional
        JPEG: of chroma.
    tables : tuple of tuple of int
        JPEG: the quantisation tables of luma and chroma, 64 values each in zigzag order; empty
        where only the quality is known.
    rate : float, optional
        JPEG 2000: bits per pixel.
    rgb : bool
        JPEG: whether its components are R, G and B themselves, as of many Aperio slides.
    """

    kind: Literal["none", "jpeg", "jpeg2000", "other"]
    quality: int | None = None
    subsampling: Subsampling | None = None
    tables: tuple[tuple[int, ...], ...] = ()
    rate: float | None = None
    rgb: bool = False

    def __str__(self) -> str:
        """For people: ``JPEG 75, 4:2:0``."""
        if self.kind == "jpeg":
            quality = "JPEG" if self.quality is None else f"JPEG {self.quality}"
            sampling = "RGB" if self.rgb else _SAMPLING_WORDS.get(self.subsampling or "", "")
            return f"{quality}, {sampling}" if sampling else quality
        if self.kind == "jpeg2000":
            return "JPEG 2000" + ("" if self.rate is None else f", {self.rate:.2g} bits per pixel")
        return {"none": "lossless"}.get(self.kind, "a lossy codec")


@dataclass(frozen=True, slots=True)
class Degradation:
    """What an image went through; None is not known.

    Parameters
    ----------
    kernel : Kernel, optional
        Between the next finer octave and this image.
    sharpening : float, optional
        Amount of an unsharp mask (Gaussian of :data:`SHARPENING_SIGMA`) after the kernel; 0 is
        none.
    noise : float, optional
        Standard deviation, grey levels of 255.
    compression : Compression, optional
        Last of all.
    kernel_source, compression_source : str, optional
        Whether it was read from the file, fitted to its levels, estimated from pixels, or assumed.
        The kernel's is that of the sharpening, too: a fit gives both.
    """

    kernel: Kernel | None = None
    sharpening: float | None = None
    noise: float | None = None
    compression: Compression | None = None
    kernel_source: Source | None = None
    compression_source: Source | None = None

    @classmethod
    def parse(cls, spec: str) -> Degradation:
        """From ``KERNEL[+sharpenA][+noiseS][+jpegQ[-444|-422|-420]]``.

        KERNEL is bicubic, box, bilinear, lanczos or gaussS. What is not named is absent, not
        unknown. Chroma is subsampled by 4:2:0 unless the SPEC says otherwise.

        Raises
        ------
        RequestError
            If ``spec`` is no such text or a number is out of range.

        Examples
        --------
        >>> str(Degradation.parse("box+jpeg75").compression)
        'JPEG 75, 4:2:0'
        """
        found = _SPEC.fullmatch(spec)
        if found is None:
            raise RequestError(
                f"Degradation {spec[:80]!r} is not understood; write "
                "KERNEL[+sharpenA][+noiseS][+jpegQ[-444|-422|-420]] with KERNEL one of bicubic, "
                "box, bilinear, lanczos, gaussS, for instance box+jpeg75-420."
            )
        numbers = {name: float(found[name] or 0) for name in _MOST}
        for name, most in _MOST.items():
            if numbers[name] > most:
                raise RequestError(
                    f"Degradation {spec!r}: {name} {numbers[name]:g} is out of range; "
                    f"give at most {most:g}."
                )
        name = "gauss" if found["sigma"] else found["kernel"]
        compression = Compression("none")
        if found["quality"]:
            quality = int(found["quality"])
            if not 1 <= quality <= 100:
                raise RequestError(
                    f"Degradation {spec!r}: JPEG quality {quality} is out of range; give 1 to 100."
                )
            compression = Compression(
                "jpeg", quality, cast(Subsampling, found["subsampling"] or "420")
            )
        return cls(
            Kernel(cast(KernelName, name), numbers["sigma"]),
            numbers["sharpen"],
            numbers["noise"],
            compression,
            "assumed",
            "assumed",
        )

    def without(self, *parts: str) -> Degradation:
        """The same with some parts not known: ``kernel``, ``sharpening``, ``noise``, ..."""
        sources = {f"{part}_source" for part in parts}
        unknown = [n for n in self.__dataclass_fields__ if n in parts or n in sources]
        return replace(self, **dict.fromkeys(unknown))

    def __str__(self) -> str:
        """For people: ``2×2 mean · JPEG 75, 4:2:0``."""
        words = []
        if self.kernel is not None:
            words.append(_KERNEL_WORDS.get(self.kernel.name, str(self.kernel)))
        if self.sharpening:
            words.append(f"sharpened by {self.sharpening:.2g}")
        if self.noise:
            words.append(f"noise {self.noise:.2g}")
        if self.compression is not None:
            estimated = " (estimated)" if self.compression_source == "estimated" else ""
            words.append(f"{self.compression}{estimated}")
        return " · ".join(words) or "not known"

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; a part that is not known is None."""
        kernel, compression = self.kernel, self.compression
        return {
            "kernel": None if kernel is None else str(kernel),
            "kernel_taps": None if kernel is None or not kernel.taps else list(kernel.taps),
            "kernel_source": self.kernel_source,
            "sharpening": self.sharpening,
            "noise": self.noise,
            "compression": None if compression is None else compression.kind,
            "quality": None if compression is None else compression.quality,
            "subsampling": None if compression is None else compression.subsampling,
            "rate": None if compression is None else compression.rate,
            "rgb": None if compression is None else compression.rgb,
            "compression_source": self.compression_source,
        }


UNKNOWN = Degradation()


def kernel_response(kernel: Kernel, frequency: float) -> float:
    """How much of a wave is left by a kernel that halves an image, -1..1.

    Parameters
    ----------
    kernel : Kernel
        What halves it.
    frequency : float
        Cycles per pixel of the coarser image; 0.5 is its Nyquist frequency, more is aliased.

    Examples
    --------
    >>> round(kernel_response(Kernel("box"), 0.5), 3)
    0.707
    """
    taps = kernel_taps(kernel)
    half = len(taps) / 2
    return sum(
        tap * math.cos(math.pi * frequency * (position + 0.5 - half))
        for position, tap in enumerate(taps)
    )


def kernel_taps(kernel: Kernel, factor: int = 2) -> tuple[float, ...]:
    """Weights of the finer image's pixels when it is shrunk by ``factor``, a power of two.

    Even in number, symmetric about the coarser pixel's centre, with sum 1. A kernel that is known
    by its taps alone is applied once an octave.
    """
    if kernel.name == "fitted":
        taps = coarser = kernel.taps
        for octave in range(1, factor.bit_length() - 1):
            step = 2**octave
            spread = [0.0] * ((len(coarser) - 1) * step + len(taps))
            for i, outer in enumerate(coarser):
                for j, inner in enumerate(taps):
                    spread[i * step + j] += outer * inner
            taps = tuple(spread)
        return taps
    reach = math.ceil(factor * (3 if kernel.name == "lanczos" else 2) + 2 * factor * kernel.sigma)
    places = [position + 0.5 for position in range(-reach, reach)]
    weights = [_weight(kernel, place, factor) for place in places]
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def sharpening_response(amount: float, frequency: float) -> float:
    """By how much an unsharp mask raises a wave, at cycles per pixel of the image it acts on."""
    blurred = math.exp(-2 * (math.pi * SHARPENING_SIGMA * frequency) ** 2)
    return 1 + amount * (1 - blurred)


def _weight(kernel: Kernel, place: float, factor: int) -> float:
    """Of a pixel at ``place`` pixels of the finer image from the coarser pixel's centre."""
    x = abs(place) / factor
    if kernel.name == "bicubic":
        if x < 1:
            return (1.5 * x - 2.5) * x * x + 1
        return ((-0.5 * x + 2.5) * x - 4) * x + 2 if x < 2 else 0.0
    if kernel.name == "bilinear":
        return max(0.0, 1 - x)
    if kernel.name == "lanczos":
        return _sinc(x) * _sinc(x / 3) if x < 3 else 0.0
    if kernel.name == "gauss" and kernel.sigma > 0:
        sigma = kernel.sigma * factor / 2
        neighbours = (place + n + 0.5 - factor / 2 for n in range(factor))
        return sum(math.exp(-0.5 * (n / sigma) ** 2) for n in neighbours)
    return float(x < 0.5)


def _sinc(x: float) -> float:
    return 1.0 if x == 0 else math.sin(math.pi * x) / (math.pi * x)
