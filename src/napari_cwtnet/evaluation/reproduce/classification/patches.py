"""Labelled patches, split by the image that they were cut from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.errors import RequestError
from napari_cwtnet.training.fields import source_files
from napari_cwtnet.training.recipe import Recipe

_WANTED = ("patches", "label", "image_id")


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """Images ``(n, h, w, 3)`` uint8, their labels 0 or 1, and the image that each is of."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    sources: NDArray[np.str_]

    def where(self, chosen: NDArray[np.bool_]) -> Patches:
        """Some of them."""
        return Patches(self.images[chosen], self.labels[chosen], self.sources[chosen])


def read_patches(path: Path) -> Patches:
    """Patches from an ``.npz`` with ``patches``, ``label`` and ``image_id``.

    Raises
    ------
    RequestError
        If the file cannot be read, lacks one of them, or they do not go together.
    """
    if path.is_file() and not is_zipfile(path):  # numpy would speak of pickles
        raise RequestError(f"Patches {path} are no .npz file; give one with {', '.join(_WANTED)}.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            images, labels, sources = (archive[name] for name in _WANTED)
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise RequestError(
            f"Patches {path} cannot be read: {why}; give an .npz with {', '.join(_WANTED)}."
        ) from error
    fits = images.ndim == 4 and images.shape[3] == 3 and images.dtype == np.uint8
    if not fits or len({len(images), len(labels), len(sources)}) != 1:
        raise RequestError(
            f"Patches {path} have shape {images.shape} and type {images.dtype} with "
            f"{len(labels)} labels; (n, h, w, 3) of uint8 and as many labels are wanted."
        )
    if not set(np.unique(labels).tolist()) <= {0, 1}:
        raise RequestError(
            f"Patches {path} have the labels {np.unique(labels).tolist()[:5]}; 0 and 1 are wanted."
        )
    height, width = (side - side % 2 for side in images.shape[1:3])
    even = np.ascontiguousarray(images[:, :height, :width])
    return Patches(even, labels.astype(np.int64), sources.astype(str))


def split_patches(patches: Patches, recipe: Recipe, data: Path) -> tuple[Patches, Patches]:
    """For training the classifier, and for testing: images that no method was trained on.

    Parameters
    ----------
    patches : Patches
        Their sources are file names without ending.
    recipe : Recipe
        Of the methods; what it holds out is what is tested on.
    data : Path
        Its data root.

    Raises
    ------
    RequestError
        If either part lacks a class.
    """
    kept = {
        file.stem for source in recipe.sources for file in source_files(source, data, held_out=True)
    }
    tested = np.isin(patches.sources, sorted(kept))
    parts = patches.where(~tested), patches.where(tested)
    for part, what in zip(parts, ("to train the classifier", "to test"), strict=True):
        if len(set(part.labels.tolist())) < 2:
            raise RequestError(
                f"{len(part.labels)} patches are left {what}, with fewer than two classes; "
                "patches must be of the images that the recipes' sources hold, by image_id."
            )
    return parts
