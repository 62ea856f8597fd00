"""Training degradations: LR and reference as scanners make them, drawn for every patch.

Draws depend on the run's random numbers alone, so a resumed run continues bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from napari_cwtnet.errors import RequestError
from napari_cwtnet.model.conditioning import libjpeg_tables
from napari_cwtnet.slides.backend import Pixels
from napari_cwtnet.slides.degradation import (
    Compression,
    Degradation,
    Kernel,
    KernelName,
    Subsampling,
)
from napari_cwtnet.slides.degrade import degrade

Share = Annotated[float, Field(ge=0, le=1)]
Name = TypeVar("Name", bound=str)

MARGIN = 8
"""LR pixels around a patch that are degraded with it and then cut off."""
_BLOCK = 16
_JITTER_KERNELS = (
    Image.Resampling.BICUBIC, Image.Resampling.BOX, Image.Resampling.LANCZOS,
)  # fmt: skip


class DegradationMix(BaseModel):
    """Distribution of the degradations of patches, and how much of each the network gets."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kernels: dict[KernelName, Annotated[float, Field(ge=0)]] = Field(
        {"bicubic": 0.25, "box": 0.3, "bilinear": 0.1, "lanczos": 0.1, "gauss": 0.25},
        description="shares of the kernels",
    )
    sigma: tuple[float, float] = Field((0.3, 1.3), description="least and most of gauss, finer px")
    sharpening: Share = Field(0.2, description="share that is sharpened")
    most_sharpening: float = Field(1.0, gt=0, le=4, description="largest amount")
    noise: Share = Field(0.25, description="share with noise")
    most_noise: float = Field(2.5, gt=0, le=64, description="standard deviation, grey levels")
    jpeg: Share = Field(0.7, description="share that is compressed as JPEG")
    quality: tuple[int, int] = Field((25, 98), description="least and most of JPEG")
    subsamplings: dict[Subsampling, Annotated[float, Field(ge=0)]] = Field(
        {"420": 0.55, "422": 0.2, "444": 0.25}, description="shares of chroma's"
    )
    tables: Share = Field(
        0.25, description="share of JPEG whose tables are not libjpeg's: flatter or steeper ones"
    )
    rgb: Share = Field(0.08, description="share of JPEG that is kept in RGB, which is 4:4:4")
    jpeg2000: Share = Field(0.05, description="share that is compressed as JPEG 2000")
    rate: tuple[float, float] = Field((0.7, 6.0), description="bits per pixel of JPEG 2000")
    twice: Share = Field(
        0.15, description="share of references that LR is made of as it is stored, compressed"
    )
    unknown_kernel: Share = Field(0.3, description="share with unknown kernel and sharpening")
    unknown_noise: Share = Field(0.7, description="share with unknown noise")
    unknown_compression: Share = Field(0.15, description="share with unknown compression")
    scale_jitter: Share = Field(0.5, description="share whose truth is shrunk before")
    most_jitter: float = Field(3.0, ge=1, le=8, description="largest factor of shrinking")
    colour_jitter: Share = Field(0.3, description="share with other gain, offset and contrast")
    validation: tuple[str, ...] = Field(
        ("bicubic", "box+jpeg75-420", "gauss0.8", "bicubic+jpeg90-444", "box", "box+jpeg50-420"),
        min_length=1,
        description="degradations of the validation fields, in turn",
    )

    @field_validator("kernels", "subsamplings")
    @classmethod
    def _one_has_a_share(cls, shares: dict[str, float]) -> dict[str, float]:
        if sum(shares.values()) <= 0:
            raise ValueError("give one of them a share above 0")
        return shares

    @field_validator("kernels")
    @classmethod
    def _kernels_can_be_drawn(cls, shares: dict[KernelName, float]) -> dict[KernelName, float]:
        if "fitted" in shares:
            raise ValueError("a fitted kernel belongs to one slide and cannot be drawn")
        return shares

    @field_validator("sigma", "quality", "rate")
    @classmethod
    def _least_comes_first(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if not 0 < ends[0] <= ends[1]:
            raise ValueError("give the least first, above 0, and the most")
        return ends

    @model_validator(mode="after")
    def _codecs_share(self) -> Self:
        if self.jpeg + self.jpeg2000 > 1:
            raise ValueError("jpeg and jpeg2000 are shares of all patches; together at most 1")
        if self.quality[1] > 100:
            raise ValueError("quality: JPEG has 1 to 100")
        return self

    @field_validator("validation")
    @classmethod
    def _can_be_parsed(cls, specs: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for spec in specs:
                Degradation.parse(spec)
        except RequestError as error:
            raise ValueError(str(error)) from error
        return specs

    def draw(self, random: np.random.Generator) -> Degradation:
        """The degradation of a patch's LR."""
        kernel = Kernel(_chosen(self.kernels, random))
        if kernel.name == "gauss":
            kernel = Kernel("gauss", round(float(random.uniform(*self.sigma)), 2))
        sharpening = noise = 0.0
        if random.random() < self.sharpening:
            sharpening = round(float(random.uniform(0, self.most_sharpening)), 2)
        if random.random() < self.noise:
            noise = round(float(random.uniform(0, self.most_noise)), 1)
        return Degradation(kernel, sharpening, noise, self._compression(random))

    def known_part(self, degradation: Degradation, random: np.random.Generator) -> Degradation:
        """The part that the network gets: some is left out, as files leave it out."""
        left_out = []
        if random.random() < self.unknown_kernel:
            left_out += ["kernel", "sharpening"]
        if random.random() < self.unknown_noise:
            left_out.append("noise")
        if random.random() < self.unknown_compression:
            left_out.append("compression")
        return degradation.without(*left_out)

    def _compression(self, random: np.random.Generator) -> Compression:
        kind = random.random()
        if kind < self.jpeg2000:
            least, most = np.log(self.rate)
            rate = float(np.exp(random.uniform(least, most)))
            return Compression("jpeg2000", rate=round(rate, 2))
        if kind >= self.jpeg2000 + self.jpeg:
            return Compression("none")
        quality = int(random.integers(self.quality[0], self.quality[1] + 1))
        sampling = _chosen(self.subsamplings, random)
        tables: tuple[tuple[int, ...], ...] = ()
        if random.random() < self.tables:
            tables = other_tables(quality, random)
        if random.random() < self.rgb:
            return Compression("jpeg", quality, "444", tables, rgb=True)
        return Compression("jpeg", quality, sampling, tables)


def other_tables(quality: int, random: np.random.Generator) -> tuple[tuple[int, ...], ...]:
    """Quantisation tables of other makers, with another slope over frequency.

    Flat tables (Kodak, some cameras), steeper ones, and luma's table used for chroma.
    """
    slope = random.uniform(-0.6, 0.4)
    ramp = np.linspace(-1, 1, 64)
    luma, chroma = (np.asarray(table, float) for table in libjpeg_tables(quality))
    if random.random() < 0.2:
        chroma = luma
    return tuple(
        tuple(int(step) for step in np.clip(np.rint(table * np.exp(slope * ramp)), 1, 255))
        for table in (luma, chroma)
    )


@dataclass(frozen=True, slots=True)
class Drawn:
    """All random choices for a patch except the noise in its pixels."""

    x: int
    y: int
    taken: int
    """Side of the square at (x, y) in the truth, pixels."""
    resample: Image.Resampling | None
    """Kernel that shrinks it; None keeps its size."""
    turns: int
    """By 90°, as in :func:`numpy.rot90`."""
    mirrored: bool
    gain: NDArray[np.float64] | None
    """Gain of each channel, about 128; None keeps the colours."""
    offset: NDArray[np.float64] | None
    order: NDArray[np.int64] | None
    """Permutation of the channels."""
    lr: Degradation
    reference: Degradation
    grid: tuple[int, int]
    """Offset of the codec's blocks before LR, pixels; with x and y swapped for the reference."""
    known: tuple[Degradation, Degradation]
    """The parts of both degradations that the network gets."""
    twice: bool
    """Whether LR is made from the reference as stored, if there is one."""


class PatchMaker:
    """Makes LR, reference and truth of a patch from a place of a field's truth.

    Parameters
    ----------
    mix : DegradationMix
        Distribution of degradations.
    scale : int
        Super-resolution factor.
    patch : int
        Side of the LR patch, pixels.
    """

    def __init__(self, mix: DegradationMix, scale: int, patch: int) -> None:
        self.mix, self._scale, self._patch = mix, scale, patch
        self.side = (patch + 2 * MARGIN) * scale
        """Side of the truth needed for a patch with its margin, pixels."""

    def fits(self, truth: Pixels) -> bool:
        """Whether the truth is large enough for a patch with its margin."""
        return bool(min(truth.shape[:2]) >= self.side)

    def draw(self, size: tuple[int, int], random: np.random.Generator) -> Drawn:
        """Random choices for a patch from a truth of ``size`` (height, width)."""
        height, width = size
        side = self.side
        jitter = 1.0
        if random.random() < self.mix.scale_jitter:
            most = min(self.mix.most_jitter, min(height, width) / side)
            jitter = float(random.uniform(1, most))
        taken = min(round(side * jitter), height, width)
        top = int(random.integers(height - taken + 1))
        left = int(random.integers(width - taken + 1))
        resample = None
        if taken != side:
            resample = _JITTER_KERNELS[int(random.integers(len(_JITTER_KERNELS)))]
        turns, mirrored = int(random.integers(4)), bool(random.integers(2))
        gain = offset = order = None
        if random.random() < self.mix.colour_jitter:
            gain = random.uniform(0.8, 1.2, 3) * random.uniform(0.7, 1.2)
            offset = random.uniform(-25, 25, 3)
            if random.random() < 0.25:
                order = random.permutation(3)
        lr = self.mix.draw(random)
        reference = self.mix.draw(random) if random.random() < 0.2 else lr
        x, y = (int(n) for n in random.integers(0, _BLOCK, 2))
        known = reference_known = self.mix.known_part(lr, random)
        if reference is not lr:
            reference_known = self.mix.known_part(reference, random)
        return Drawn(
            x=left,
            y=top,
            taken=taken,
            resample=resample,
            turns=turns,
            mirrored=mirrored,
            gain=gain,
            offset=offset,
            order=order,
            lr=lr,
            reference=reference,
            grid=(x, y),
            known=(known, reference_known),
            twice=random.random() < self.mix.twice,
        )

    def make(
        self, truth: Pixels, random: np.random.Generator
    ) -> tuple[Pixels, Pixels, Pixels, tuple[Degradation, Degradation]]:
        """LR, reference and truth of a random place, and the known parts of the degradations."""
        drawn = self.draw((truth.shape[0], truth.shape[1]), random)
        window = _coloured(self._window(truth, drawn), drawn)
        x, y = drawn.grid
        if self._scale == 2:
            reference = window
        else:
            reference = degrade(
                window, drawn.reference, self._scale // 2, random=random, grid=(y, x)
            )
        source, factor = window, self._scale
        if drawn.twice and self._scale > 2:
            source, factor = reference, 2
        lr = degrade(source, drawn.lr, factor, random=random, grid=(x, y))
        cut = MARGIN
        return (
            _core(lr, cut),
            _core(reference, 2 * cut),
            _core(window, self._scale * cut),
            drawn.known,
        )

    def _window(self, truth: Pixels, drawn: Drawn) -> Pixels:
        """The drawn square, shrunk, turned and mirrored: ``(side, side, 3)``."""
        x, y, taken = drawn.x, drawn.y, drawn.taken
        part = truth[y : y + taken, x : x + taken]
        if drawn.resample is not None:
            size = (self.side, self.side)
            part = np.asarray(Image.fromarray(part).resize(size, drawn.resample))
        part = np.rot90(part, drawn.turns)
        return part[:, ::-1] if drawn.mirrored else part


def _coloured(window: Pixels, drawn: Drawn) -> Pixels:
    if drawn.gain is None or drawn.offset is None:
        return np.ascontiguousarray(window)
    gain = drawn.gain.astype(np.float32)
    values = (window.astype(np.float32) - 128) * gain + 128 + drawn.offset
    if drawn.order is not None:
        values = values[..., drawn.order]
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _core(image: Pixels, cut: int) -> Pixels:
    return image[cut:-cut, cut:-cut]


def _chosen(shares: dict[Name, float], random: np.random.Generator) -> Name:
    names: Sequence[Name] = list(shares)
    weights = np.asarray([shares[name] for name in names])
    return names[int(random.choice(len(names), p=weights / weights.sum()))]
