"""Quality: errors against the slide's own pixels, where they hold the truth."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement.input_origin import read_input
from napari_cwtnet.enhancement.plan import Plan
from napari_cwtnet.geometry import Region, Size
from napari_cwtnet.metrics import psnr, ssim
from napari_cwtnet.slides import Slide

_SMALLEST = 11
_LITTLE = 0.001


@dataclass(frozen=True, slots=True)
class Quality:
    """PSNR (dB) and SSIM against the truth: 8-bit RGB, cropped by the scale.

    All None where the slide holds no truth; the reference's are None without a reference.
    """

    psnr: float | None = None
    ssim: float | None = None
    psnr_bicubic: float | None = None
    ssim_bicubic: float | None = None
    psnr_reference_bicubic: float | None = None
    ssim_reference_bicubic: float | None = None

    @property
    def warning(self) -> str:
        """A warning where bicubic is better, by PSNR or by SSIM alone.

        Empty where it is not, where that is unknown, or where the rounded figures are equal.
        """
        names = ("bicubic of the reference", "bicubic")
        ratios = (self.psnr_reference_bicubic, self.psnr_bicubic)
        for name, bicubic in zip(names, ratios, strict=True):
            if self.psnr is None or bicubic is None or round(self.psnr, 2) >= round(bicubic, 2):
                continue
            return (
                f"Worse than {name} here ({self.psnr:.2f} against {bicubic:.2f} dB): fine-tune "
                "the model on such slides, or do not use it on them"
            )
        likenesses = (self.ssim_reference_bicubic, self.ssim_bicubic)
        for name, bicubic in zip(names, likenesses, strict=True):
            if self.ssim is None or bicubic is None or round(self.ssim, 4) >= round(bicubic, 4):
                continue
            little = "a little " if bicubic - self.ssim < _LITTLE else ""
            return (
                f"SSIM is {little}below that of {name} here "
                f"({self.ssim:.4f} against {bicubic:.4f}), though PSNR is not: compare "
                "the two by eye"
            )
        return ""

    @property
    def gain(self) -> float | None:
        """PSNR above bicubic enlargement of the model's finest input, dB.

        None where the region is too small, or so empty that bicubic is exact.
        """
        over = self.psnr_reference_bicubic
        over = self.psnr_bicubic if over is None else over
        if self.psnr is None or over is None or not math.isfinite(self.psnr - over):
            return None
        return self.psnr - over

    def comparison(self, worse: str = "worse") -> str:
        """The gain in words: ``1.4 dB better than plain enlargement``, or why it is unknown.

        Parameters
        ----------
        worse : str
            The word for a negative gain.
        """
        if self.psnr is None:
            return "not known, the region is too small to measure"
        if self.gain is None:
            return "not known, the region shows no detail"
        than = "than plain enlargement"
        if self.psnr_reference_bicubic is not None:
            than += " of the reference"
        shown = f"{abs(self.gain):.1f}"
        if shown == "0.0":
            return f"no better {than}"
        return f"{shown} dB {'better' if self.gain > 0 else worse} {than}"

    def as_dict(self) -> dict[str, float | None]:
        """The figures by name."""
        return asdict(self)


def enlarged(slide: Slide, plan: Plan, *, reference: bool) -> NDArray[np.uint8]:
    """LR, or the reference, enlarged bicubically to the output: ``(height, width, 3)`` uint8."""
    downsample = plan.downsample / 2 if reference else plan.downsample
    factor = plan.scale // 2 if reference else plan.scale
    columns, rows = plan.lattice.size
    if reference:
        columns, rows = 2 * columns, 2 * rows
    covered = Region(plan.region.x, plan.region.y, columns * downsample, rows * downsample)
    size = Size(columns * factor, rows * factor)
    small = Image.fromarray(read_input(slide, plan, covered, downsample))
    image = small.resize(size, Image.Resampling.BICUBIC)
    width, height = plan.output_size
    return np.asarray(image)[:height, :width]


def truth(slide: Slide, plan: Plan) -> NDArray[np.uint8] | None:
    """The slide's own pixels at the output's downsample; None where the slide holds no truth."""
    if not plan.checkable:
        return None
    return slide.read(plan.region, plan.output_downsample, registered=True)


def measure(
    slide: Slide, plan: Plan, image: NDArray[np.uint8], cancel: CancelToken | None = None
) -> Quality:
    """Compare an SR image ``(height, width, 3)`` with the truth, and bicubic with it.

    Raises
    ------
    CancelledError
        Between two of the images, after ``cancel`` was called.
    """
    cancel = cancel or CancelToken()
    real, crop = truth(slide, plan), plan.scale
    if real is None or min(real.shape[:2]) < _SMALLEST + 2 * crop:
        return Quality()
    numbers: list[float | None] = []
    for name in ("model", "bicubic", "reference"):
        cancel.raise_if_cancelled()
        if name == "reference" and not plan.with_reference:
            numbers += [None, None]
            continue
        picture = image if name == "model" else enlarged(slide, plan, reference=name == "reference")
        numbers += [psnr(picture, real, crop), ssim(picture, real, crop)]
    return Quality(*numbers)


_MARGIN = 3


def slide_on_grid(slide: Slide, plan: Plan) -> NDArray[np.uint8]:
    """The slide's own pixels on the grid of the output: ``(height, width, 3)`` uint8.

    Enlarged bicubically where the output is finer than the slide.
    """
    pixel, region = plan.output_downsample, plan.region
    if pixel >= 1:
        return slide.read(region, pixel, registered=True)
    width, height = plan.output_size
    covered = (width * pixel, height * pixel)
    columns, rows = (math.ceil(length) + 2 * _MARGIN for length in covered)
    around = Region(region.x - _MARGIN, region.y - _MARGIN, columns, rows)
    box = (_MARGIN, _MARGIN, _MARGIN + covered[0], _MARGIN + covered[1])
    small = Image.fromarray(slide.read(around, 1.0, replicate=True))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC, box=box))


def signed_difference(image: NDArray[np.uint8], baseline: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Image minus baseline, mean of red, green and blue.

    Parameters
    ----------
    image, baseline : ndarray
        ``(height, width, 3)`` uint8 each.

    Returns
    -------
    ndarray
        ``(height, width)`` float32 grey levels, -255..255; above 0 where the image is brighter.
    """
    sums = image.sum(axis=2, dtype=np.int16) - baseline.sum(axis=2, dtype=np.int16)
    return np.asarray(sums / np.float32(3), np.float32)
