"""A model against bicubic on a folder of images, each used as high-resolution truth."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from napari_cwtnet.enhancement import Result, enhance, enlarged
from napari_cwtnet.errors import RequestError
from napari_cwtnet.evaluation.nuclei import (
    NucleiAgreement,
    check_nuclei_can_be_found,
    compare_nuclei,
    find_nuclei,
)
from napari_cwtnet.files import image_files
from napari_cwtnet.geometry import Region
from napari_cwtnet.model import Model
from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.array_slide import ArraySlide
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation
from napari_cwtnet.slides.degrade import degrade

Told = Literal["file", "all", "nothing"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures per image and their means: PSNR in dB, SSIM; None where they do not apply."""

    model: str
    scale: int
    mode: str
    degradation: str
    """Degradation of LR and of the reference, as a SPEC."""
    told: Told
    """The part of it that the model knew."""
    images: dict[str, dict[str, float | None]]
    nuclei: dict[str, dict[str, NucleiAgreement]] = field(default_factory=dict)
    """Per image, of SR, of bicubic and, with a reference, of bicubic of that; empty if not asked
    for."""

    def means(self) -> dict[str, float | None]:
        """Mean over images of every figure."""
        names = next(iter(self.images.values()))
        return {name: self._mean(name) for name in names}

    def all_nuclei(self) -> dict[str, NucleiAgreement]:
        """The agreement over the nuclei of all images, by picture."""
        total: dict[str, NucleiAgreement] = {}
        for pictures in self.nuclei.values():
            for name, agreement in pictures.items():
                total[name] = total[name] + agreement if name in total else agreement
        return total

    def _mean(self, name: str) -> float | None:
        values = [figures[name] for figures in self.images.values()]
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None


def chosen_images(folder: Path, patterns: Sequence[str] = ()) -> list[Path]:
    """Images of a folder in order of name; with patterns, only those that match one.

    Raises
    ------
    RequestError
        If there is none.
    """
    found = [
        path
        for path in image_files(folder)
        if not patterns or any(fnmatch.fnmatch(path.name, p) for p in patterns)
    ]
    if not folder.is_dir():
        raise RequestError(f"Folder {folder} does not exist; check the path.")
    if not found:
        named = f" named {' or '.join(patterns)}" if patterns else ""
        raise RequestError(f"Folder {folder} holds no PNG, JPEG or TIFF image{named}.")
    return found


def evaluate_images(
    files: Sequence[Path],
    model: Model,
    reference: Literal["next", "none", "oracle"] = "none",
    *,
    degradation: str = "bicubic",
    told: Told = "file",
    nuclei_mpp: float | None = None,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Degrade each image to LR, enhance it, and compare the result with the image itself.

    Parameters
    ----------
    files : sequence of Path
        Images; each is cropped to a multiple of the scale.
    model : Model
        The model to measure.
    reference : {"next", "none", "oracle"}
        ``next`` makes the WT input by the same degradation at half the downsample. At ×2 that is
        the image itself, allowed as ``oracle`` only.
    degradation : str
        SPEC for LR and the reference; see
        :meth:`~napari_cwtnet.slides.degradation.Degradation.parse`.
    told : {"file", "all", "nothing"}
        The part of the degradation that a model which takes it knows: what a slide's file and
        levels reveal (kernel with sharpening, and compression), everything, or nothing.
    nuclei_mpp : float, optional
        µm per pixel of the images, to compare nuclei as well; see
        :mod:`napari_cwtnet.evaluation.nuclei`.
    device : str
        As :func:`napari_cwtnet.enhance` takes it.
    progress : callable, optional
        Called after each image with the number of images done and the total.

    Raises
    ------
    RequestError
        If the degradation cannot be parsed, the reference does not suit the model, an image is
        smaller than the scale, or nuclei cannot be found.
    """
    if nuclei_mpp is not None:
        check_nuclei_can_be_found(nuclei_mpp)
    made = Degradation.parse(degradation)
    if reference == "next" and model.scale == 2:
        raise RequestError(
            "Reference next at ×2 is the answer itself; use reference none, or oracle to see what "
            "the answer is worth."
        )
    known = {"file": made.without("noise"), "all": made, "nothing": UNKNOWN}[told]
    figures: dict[str, dict[str, float | None]] = {}
    nuclei: dict[str, dict[str, NucleiAgreement]] = {}
    mode = ""
    for done, path in enumerate(files, start=1):
        with _degraded(path, model.scale, made, known) as slide:
            result = enhance(
                slide,
                slide.bounds,
                model.scale,
                model=model,
                reference="none" if reference == "none" else "next",
                device=device,
            )
            figures[path.name] = result.metrics.as_dict()
            mode = result.mode
            if nuclei_mpp is not None:
                nuclei[path.name] = _nuclei(slide, result, nuclei_mpp)
        if progress is not None:
            progress(done, len(files))
    return Evaluation(model.name, model.scale, mode, degradation, told, figures, nuclei)


def _nuclei(slide: ArraySlide, result: Result, mpp: float) -> dict[str, NucleiAgreement]:
    """How nuclei of SR and of bicubic agree with those of the finest level."""
    pictures = {"sr": result.image, "bicubic": enlarged(slide, result.plan, reference=False)}
    if result.plan.with_reference:
        pictures["reference_bicubic"] = enlarged(slide, result.plan, reference=True)
    real = find_nuclei(slide.read(slide.bounds, 1), mpp)
    return {name: compare_nuclei(find_nuclei(one, mpp), real) for name, one in pictures.items()}


def _degraded(path: Path, scale: int, made: Degradation, known: Degradation) -> ArraySlide:
    """An image as the finest level, with LR and reference made from it."""
    with open_slide(path) as slide:
        if slide.computed is not None:
            raise RequestError(
                f"Image {path} is itself computed ({slide.computed}), so it is no truth; "
                "leave it out."
            )
        width, height = (side - side % scale for side in slide.size)
        if min(width, height) == 0:
            raise RequestError(f"Image {path} is smaller than {scale} pixels; leave it out.")
        truth = slide.read(Region(0, 0, width, height), 1)
    random = np.random.default_rng(0)
    downsamples = sorted({scale // 2, scale} - {1})
    images = {1: truth} | {d: degrade(truth, made, d, random=random) for d in downsamples}
    return ArraySlide(images, dict.fromkeys(downsamples, known), name=path.name)
