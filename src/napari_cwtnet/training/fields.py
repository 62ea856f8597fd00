"""Registered LR, reference and truth of the same fields, from folders of images."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.files import image_files, refuse_pipe
from napari_cwtnet.model.conditioning import degradation_tensor
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation
from napari_cwtnet.slides.degrade import degrade
from napari_cwtnet.training.degrade import DegradationMix, PatchMaker
from napari_cwtnet.training.recipe import ImageSource

NOT_KNOWN = (UNKNOWN, UNKNOWN)
_MULTIPLE = 16


@dataclass(frozen=True, slots=True)
class Field:
    """One image and what is made of it, registered on the outer corners.

    All arrays are ``(height, width, 3)`` uint8 RGB.
    """

    name: str
    lr: NDArray[np.uint8]
    reference: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    known: tuple[Degradation, Degradation] = NOT_KNOWN
    """The known degradations of LR and reference."""

    def crop(self, y: int, x: int, height: int, width: int, scale: int) -> Field:
        """A part of the field; position and size in LR pixels."""
        lr, reference, truth = (
            image[f * y : f * (y + height), f * x : f * (x + width)]
            for image, f in ((self.lr, 1), (self.reference, 2), (self.truth, scale))
        )
        return replace(self, lr=lr, reference=reference, truth=truth)


@dataclass(frozen=True, slots=True)
class Batch:
    """LR ``(N, 3, h, w)``, reference ``(N, 3, 2h, 2w)`` and truth ``(N, 3, s·h, s·w)``, 0..1."""

    lr: Tensor
    reference: Tensor
    truth: Tensor
    degradation: Tensor | None = None
    """Degradations of LR and reference, ``(N, 2, LENGTH)``; None if unknown."""

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        known = None if self.degradation is None else self.degradation.to(device)
        return Batch(self.lr.to(device), self.reference.to(device), self.truth.to(device), known)

    def part(self, rows: slice) -> Batch:
        """Some of its patches."""
        known = None if self.degradation is None else self.degradation[rows]
        return Batch(self.lr[rows], self.reference[rows], self.truth[rows], known)


def shrink(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Antialiased bicubic reduction of ``(h, w, 3)`` by a whole factor, as slides are read."""
    if factor == 1:
        return image
    height, width = image.shape[0] // factor, image.shape[1] // factor
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def source_files(source: ImageSource, root: Path, *, held_out: bool) -> list[Path]:
    """The image files of the training part or of the held-out part of a source, sorted.

    Raises
    ------
    TrainingError
        If the folder does not exist or holds no image.
    """
    folder = root / source.folder
    files = image_files(folder)
    if not files:
        raise TrainingError(
            f"Source {source.name!r}: folder {folder} holds no PNG, JPEG or TIFF image; "
            "check the data root."
        )
    return [
        path
        for path in files
        if held_out == _matches(path, source.held_out) and not _matches(path, source.tested)
    ]


def _matches(path: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns)


def load_fields(source: ImageSource, root: Path, scale: int, *, held_out: bool) -> Iterator[Field]:
    """The training part or the held-out part of a source, split by file.

    Images below 16 × 16 pixels are skipped.

    Raises
    ------
    TrainingError
        If the folder does not exist, holds no image, or an image cannot be read.
    """
    for path in source_files(source, root, held_out=held_out):
        try:
            refuse_pipe(path)
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise TrainingError(
                f"Source {source.name!r}: image {path} cannot be read: "
                f"{' '.join(str(error).split())}; remove or replace it."
            ) from error
        if min(pixels.shape[:2]) < _MULTIPLE * 2**source.halvings:
            continue
        truth = shrink(pixels, 2**source.halvings)
        height, width = (side - side % _MULTIPLE for side in truth.shape[:2])
        truth = truth[:height, :width]
        yield Field(path.name, shrink(truth, scale), shrink(truth, scale // 2), truth)


def degraded_as(field: Field, spec: str, scale: int) -> Field:
    """The field with LR and reference made from its truth by a SPEC, which becomes known."""
    made = Degradation.parse(spec)
    seed = np.random.default_rng(len(field.name))
    lr = degrade(field.truth, made, scale, random=seed)
    reference = field.truth
    if scale > 2:
        reference = degrade(field.truth, made, scale // 2, random=seed)
    known = made.without("noise")
    return Field(f"{field.name} {spec}", lr, reference, field.truth, (known, known))


class PatchSampler:
    """Random patches, flips and turns from several sources; the same seed, the same patches.

    Parameters
    ----------
    sources : sequence of (weight, fields)
        A source is drawn by weight, a field by its area, a place uniformly.
    scale : int
        Super-resolution factor.
    patch : int
        Side of the LR patch, pixels.
    mix : DegradationMix, optional
        How to make LR and reference of each patch; without it, and for fields of known
        degradation, the sampler uses the field's own.
    """

    def __init__(
        self,
        sources: Sequence[tuple[float, Sequence[Field]]],
        scale: int,
        patch: int,
        mix: DegradationMix | None = None,
    ) -> None:
        self._scale, self._patch = scale, patch
        self._maker = None if mix is None else PatchMaker(mix, scale, patch)
        self._fields: list[Field] = []
        chances: list[float] = []
        for weight, fields in sources:
            usable = [f for f in fields if self._is_large_enough(f)]
            area = sum(f.lr.size for f in usable)
            self._fields += usable
            chances += [weight * f.lr.size / area for f in usable]
        if not self._fields:
            raise TrainingError(
                f"No training image is as large as one patch ({patch * scale} pixels); "
                "choose a smaller patch or larger images."
            )
        self._chances = np.asarray(chances) / sum(chances)

    def batch(self, count: int, generator: np.random.Generator) -> Batch:
        """Draw ``count`` patches."""
        drawn = generator.choice(len(self._fields), size=count, p=self._chances)
        patches = [self._patch_of(self._fields[i], generator) for i in drawn]
        return _batch([images for images, _ in patches], [known for _, known in patches])

    def _is_large_enough(self, field: Field) -> bool:
        if self._makes(field) and self._maker is not None:
            return self._maker.fits(field.truth)
        return bool(min(field.lr.shape[:2]) >= self._patch)

    def _makes(self, field: Field) -> bool:
        return self._maker is not None and field.known is NOT_KNOWN

    def _patch_of(self, field: Field, generator: np.random.Generator) -> _Patch:
        if self._makes(field) and self._maker is not None:
            lr, reference, truth, known = self._maker.make(field.truth, generator)
            return [lr, reference, truth], known
        height, width = field.lr.shape[:2]
        y = int(generator.integers(height - self._patch + 1))
        x = int(generator.integers(width - self._patch + 1))
        turns, mirrored = int(generator.integers(4)), bool(generator.integers(2))
        part = field.crop(y, x, self._patch, self._patch, self._scale)
        turned = [np.rot90(image, turns) for image in (part.lr, part.reference, part.truth)]
        patches = [image[:, ::-1] if mirrored else image for image in turned]
        return patches, self._known_of(field, generator)

    def _known_of(self, field: Field, generator: np.random.Generator) -> _Known:
        """Drops parts at random: the file of another slide may reveal less."""
        if self._maker is None or field.known is NOT_KNOWN:
            return field.known
        lr, reference = (self._maker.mix.known_part(each, generator) for each in field.known)
        return lr, reference


_Known = tuple[Degradation, Degradation]
_Patch = tuple[list[NDArray[np.uint8]], _Known]


def _batch(triples: Sequence[list[NDArray[np.uint8]]], known: Sequence[_Known]) -> Batch:
    lr, reference, truth = (_stack(list(same)) for same in zip(*triples, strict=True))
    return Batch(lr, reference, truth, torch.stack([degradation_tensor(*each) for each in known]))


def _stack(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    array = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    return torch.from_numpy(array).float().div_(255)


def batch_of(field: Field) -> Batch:
    """A whole field as a batch of one."""
    return _batch([[field.lr, field.reference, field.truth]], [field.known])
