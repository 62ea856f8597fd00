"""Registered LR, reference and truth of the same fields, from folders of images."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from napari_cwtnet.errors import TrainingError
from napari_cwtnet.files import image_files
from napari_cwtnet.training.recipe import ImageSource

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


@dataclass(frozen=True, slots=True)
class Batch:
    """LR ``(N, 3, h, w)``, reference ``(N, 3, 2h, 2w)`` and truth ``(N, 3, s·h, s·w)``, 0..1."""

    lr: Tensor
    reference: Tensor
    truth: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(*(t.to(device) for t in (self.lr, self.reference, self.truth)))


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
        if held_out == any(fnmatch.fnmatch(path.name, pattern) for pattern in source.held_out)
    ]


def load_fields(source: ImageSource, root: Path, scale: int, *, held_out: bool) -> Iterator[Field]:
    """The training part or the held-out part of a source, split by file.

    Images below 16 × 16 pixels are passed over.

    Raises
    ------
    TrainingError
        If the folder does not exist, holds no image, or an image cannot be read.
    """
    for path in source_files(source, root, held_out=held_out):
        try:
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
    """

    def __init__(
        self, sources: Sequence[tuple[float, Sequence[Field]]], scale: int, patch: int
    ) -> None:
        self._scale, self._patch = scale, patch
        self._fields: list[Field] = []
        chances: list[float] = []
        for weight, fields in sources:
            usable = [f for f in fields if min(f.lr.shape[:2]) >= patch]
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
        triples = [self._patch_of(self._fields[i], generator) for i in drawn]
        return Batch(*(_stack(images) for images in zip(*triples, strict=True)))

    def _patch_of(self, field: Field, generator: np.random.Generator) -> list[NDArray[np.uint8]]:
        height, width = field.lr.shape[:2]
        y = int(generator.integers(height - self._patch + 1))
        x = int(generator.integers(width - self._patch + 1))
        turns, mirrored = int(generator.integers(4)), bool(generator.integers(2))
        patches = []
        for image, factor in ((field.lr, 1), (field.reference, 2), (field.truth, self._scale)):
            side = factor * self._patch
            part = image[factor * y : factor * y + side, factor * x : factor * x + side]
            part = np.rot90(part, turns)
            patches.append(part[:, ::-1] if mirrored else part)
        return patches


def _stack(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    array = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    return torch.from_numpy(array).float().div_(255)


def batch_of(field: Field) -> Batch:
    """A whole field as a batch of one."""
    return Batch(_stack([field.lr]), _stack([field.reference]), _stack([field.truth]))
