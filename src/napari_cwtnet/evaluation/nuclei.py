"""What an enlargement does to what people measure: nuclei of SR and of bicubic against the truth's.

Nuclei are found by a classical method that needs no training: the haematoxylin of colour
deconvolution (Ruifrok and Johnston 2001), slightly smoothed; Otsu's threshold, of each picture by
itself, as a program that knows that picture alone would set it; opening, holes filled; a watershed
of the distance to the background from its maxima; what is too small for a nucleus is left out.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.errors import RequestError

METHOD = (
    "haematoxylin by colour deconvolution, Otsu's threshold of each picture, watershed; matched at "
    "an intersection over union above 0.5"
)
# All in µm, so that a magnification changes no more than what can be seen.
_SMOOTHING = 0.5
_OPENING = 0.75
_APART = 3.0
_LEAST_AREA = 12.0
_LEAST_DENSITY = 0.015
"""Otsu's threshold splits bone and glass as well: what is paler than this is no nucleus."""


@dataclass(frozen=True, slots=True)
class Nuclei:
    """Nuclei of an image."""

    labels: NDArray[np.int32]
    """``(height, width)``; 0 is background, nuclei count from 1 without gaps."""
    haematoxylin: NDArray[np.float64]
    """``(height, width)``, optical density."""

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.labels.max(initial=0))

    @property
    def areas(self) -> NDArray[np.int64]:
        """Pixels of each."""
        return np.bincount(self.labels.ravel(), minlength=self.count + 1)[1:]

    @property
    def densities(self) -> NDArray[np.float64]:
        """Mean haematoxylin of each."""
        flat, weights = self.labels.ravel(), self.haematoxylin.ravel()
        return np.bincount(flat, weights, minlength=self.count + 1)[1:] / self.areas


@dataclass(frozen=True, slots=True)
class NucleiAgreement:
    """How nuclei of a picture agree with those of the truth, over one image or, added, several."""

    truth: int
    """Nuclei in the truth."""
    found: int
    """Nuclei in the picture."""
    matched: int
    """Pairs whose intersection over union is above 0.5; a nucleus is in one pair at most."""
    miscounted: int
    """Sum over images of the difference of both counts."""
    area: float
    """Of the picture's nuclei in pairs, pixels."""
    true_area: float
    haematoxylin: float
    """Sum over pairs of the mean optical density in the picture."""
    true_haematoxylin: float

    def __add__(self, other: NucleiAgreement) -> NucleiAgreement:
        names = self.__slots__
        return NucleiAgreement(*(getattr(self, name) + getattr(other, name) for name in names))

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall of matched nuclei, 0..1; None without nuclei."""
        both = self.truth + self.found
        return 2 * self.matched / both if both else None

    @property
    def count_error(self) -> float | None:
        """Miscounted nuclei, relative to those of the truth; None where it has none."""
        return self.miscounted / self.truth if self.truth else None

    @property
    def area_bias(self) -> float | None:
        """Relative difference of the area of matched nuclei; above 0 they are larger."""
        return self.area / self.true_area - 1 if self.matched else None

    @property
    def haematoxylin_bias(self) -> float | None:
        """Relative difference of their mean optical density; above 0 they are darker."""
        return self.haematoxylin / self.true_haematoxylin - 1 if self.matched else None

    def as_dict(self) -> dict[str, float | int | None]:
        """The figures by name."""
        return {
            "found": self.found,
            "f1": self.f1,
            "count_error": self.count_error,
            "area_bias": self.area_bias,
            "haematoxylin_bias": self.haematoxylin_bias,
        }


def check_nuclei_can_be_found(mpp: float) -> None:
    """Refuse before anything is computed.

    Raises
    ------
    RequestError
        Without scikit-image, or if ``mpp`` is not above 0.
    """
    if not 0 < mpp < np.inf:
        raise RequestError(f"Nuclei at {mpp:g} µm per pixel; give a number above 0.")
    if importlib.util.find_spec("skimage") is None:
        raise RequestError(
            "Nuclei are found by scikit-image; install it by: "
            "pip install 'napari-cwtnet[evaluation]'."
        )


def find_nuclei(image: NDArray[np.uint8], mpp: float) -> Nuclei:
    """Nuclei of an image, by the method that this module describes.

    Parameters
    ----------
    image : ndarray
        ``(height, width, 3)`` uint8 RGB, stained with haematoxylin and something else.
    mpp : float
        µm per pixel, above 0.

    Raises
    ------
    RequestError
        Without scikit-image, or if ``mpp`` is not above 0.
    """
    check_nuclei_can_be_found(mpp)
    from scipy import ndimage
    from skimage.color import rgb2hed
    from skimage.filters import threshold_otsu
    from skimage.morphology import disk
    from skimage.segmentation import watershed

    density = np.asarray(rgb2hed(image)[..., 0], np.float64)
    smooth = ndimage.gaussian_filter(density, _SMOOTHING / mpp)
    dark = smooth > max(threshold_otsu(smooth), _LEAST_DENSITY)
    dark = ndimage.binary_opening(dark, disk(max(1, round(_OPENING / mpp))))
    dark = ndimage.binary_fill_holes(dark)
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(dark), _SMOOTHING / mpp)
    near = disk(max(1, round(_APART / mpp)))
    peaks = dark & (depth == ndimage.maximum_filter(depth, footprint=near))
    # A small island beside a large one has its peak outshone: it is one nucleus.
    islands, count = ndimage.label(dark)
    outshone = np.ones(count + 1, bool)
    outshone[islands[peaks]] = False
    seeds, _ = ndimage.label(peaks | (dark & outshone[islands]), np.ones((3, 3)))
    parts = watershed(-depth, seeds, mask=dark)
    large = np.bincount(parts.ravel()) >= _LEAST_AREA / mpp**2
    large[0] = False
    numbers = np.where(large, np.cumsum(large), 0).astype(np.int32)
    return Nuclei(numbers[parts], density)


def compare_nuclei(found: Nuclei, truth: Nuclei) -> NucleiAgreement:
    """Pair the nuclei of a picture with those of the truth, on the same grid.

    Since regions of an image do not overlap, an intersection over union above a half makes a
    nucleus' partner the only one that it can have.
    """
    columns = truth.count + 1
    both = found.labels.ravel().astype(np.int64) * columns + truth.labels.ravel()
    pairs, shared = np.unique(
        both[(found.labels.ravel() > 0) & (truth.labels.ravel() > 0)], return_counts=True
    )
    mine, theirs = pairs // columns - 1, pairs % columns - 1
    alike = 2 * shared > found.areas[mine] + truth.areas[theirs] - shared
    mine, theirs = mine[alike], theirs[alike]
    return NucleiAgreement(
        truth=truth.count,
        found=found.count,
        matched=len(mine),
        miscounted=abs(found.count - truth.count),
        area=float(found.areas[mine].sum()),
        true_area=float(truth.areas[theirs].sum()),
        haematoxylin=float(found.densities[mine].sum()),
        true_haematoxylin=float(truth.densities[theirs].sum()),
    )
