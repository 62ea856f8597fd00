"""Haar sub-bands of a field's images, at any depth, and their energies."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection.field import Field, Floats
from napari_cwtnet.inspection.maps import Map, rounded_up
from napari_cwtnet.model.config import Band
from napari_cwtnet.model.wavelet import BANDS, dwt, idwt
from napari_cwtnet.slides.backend import Pixels

Bands = Mapping[Band, Floats]

DETAILS: tuple[Band, ...] = ("LH", "HL", "HH")
GREY = 255.0


def deepest(height: int, width: int) -> int:
    """How often an image of that size can be halved."""
    return int(math.log2(min(height, width)))


def borne(image: NDArray[np.generic], depth: int) -> int:
    """The depth, limited to what an image ``(h, w, …)`` allows."""
    height, width = image.shape[:2]
    return min(depth, deepest(height, width))


def check_depth(height: int, width: int, depth: int) -> None:
    """Raise :class:`RequestError` for a depth below 1 or above :func:`deepest`."""
    most = deepest(height, width)
    if not 1 <= depth <= most:
        raise RequestError(
            f"Depth {depth} does not suit {width} × {height} pixels; give 1 to {most}."
        )


def haar(image: Pixels | Floats, depth: int = 1) -> tuple[Bands, ...]:
    """The orthonormal Haar transform of an image, level by level.

    Parameters
    ----------
    image : ndarray
        ``(h, w, 3)``; rows and columns beyond a multiple of ``2^depth`` are left out.
    depth : int
        Octaves, from 1 to :func:`deepest`.

    Returns
    -------
    tuple of dict
        Finest first. Each has ``LL``, ``LH``, ``HL`` and ``HH`` as ``(3, h', w')`` float32 in the
        image's own unit (grey levels for uint8); each level splits the LL of the one before.

    Raises
    ------
    RequestError
        If the image is too small for that depth.
    """
    height, width = image.shape[:2]
    check_depth(height, width, depth)
    step = 2**depth
    height, width = height // step * step, width // step * step
    rest = torch.from_numpy(image[:height, :width].astype(np.float64)).permute(2, 0, 1)
    levels = []
    for _ in range(depth):
        split = dwt(rest)
        levels.append({name: split[name].numpy().astype(np.float32) for name in BANDS})
        rest = split["LL"]
    return tuple(levels)


def inverse(levels: tuple[Bands, ...]) -> Floats:
    """The image ``(h, w, 3)`` that :func:`haar` split."""
    rest = torch.from_numpy(np.asarray(levels[-1]["LL"], np.float64))
    for level in reversed(levels):
        parts = {name: torch.from_numpy(np.asarray(level[name], np.float64)) for name in DETAILS}
        rest = idwt({"LL": rest, **parts})
    return rest.permute(1, 2, 0).numpy().astype(np.float32)


def energies(levels: tuple[Bands, ...]) -> dict[str, float]:
    """Energy of every sub-band, such as ``HH1``, deepest first: sum of squares per value.

    The basis is orthonormal, so they add up to the image's mean square. Only the coarsest level
    has an ``LL``, since the others are split further.
    """
    count = levels[0]["LL"].size * 4
    last = len(levels)
    return {
        f"{name}{depth}": float(np.square(levels[depth - 1][name], dtype=np.float64).sum() / count)
        for depth in range(last, 0, -1)
        for name in (BANDS if depth == last else DETAILS)
    }


def images(field: Field) -> dict[str, Pixels | Floats]:
    """Images of the field that can be split, by name; values in grey levels 0..255.

    ``reference`` is what fed the WT branch. Without one, ``wr`` is the WR module's approximation
    of it (or the enlarged LR, where the model has no WR module).
    """
    found: dict[str, Pixels | Floats] = {"lr": field.lr}
    if field.reference is not None:
        found["reference"] = field.reference
    if field.stand_in is not None:
        found["wr"] = field.stand_in * np.float32(GREY)
    found["sr"] = field.sr
    if field.truth is not None:
        found["truth"] = field.truth
    return found


def predicted(field: Field) -> dict[str, Floats]:
    """The WT branch's own sub-bands I_WT, ``(3, h, w)`` in grey levels, by name."""
    return _named(field, field.predicted)


def targets(field: Field) -> dict[str, Floats]:
    """The targets of I_WT by name; empty where the slide is not fine enough."""
    return _named(field, field.target)


def _named(field: Field, stack: Floats | None) -> dict[str, Floats]:
    if stack is None:
        return {}
    names = ("mean",) if field.config.wt_front == "average" else field.config.bands
    return {
        name: stack[3 * number : 3 * number + 3] * np.float32(GREY)
        for number, name in enumerate(names)
    }


IMAGES = {
    "lr": "LR",
    "reference": "reference",
    "wr": "stand-in for the reference",
    "sr": "SR",
    "truth": "truth",
}
_BANDS = {
    "LL": "what is left at 1/{} of the resolution",
    "LH": "horizontal edges: detail across rows",
    "HL": "vertical edges: detail across columns",
    "HH": "diagonal detail",
    "mean": "2 × 2 means",
}


def band_map(field: Field, image: str, band: Band, depth: int = 1) -> Map:
    """A sub-band of an image of the field; RGB, shown as its mean.

    Parameters
    ----------
    field : Field
        The captured field.
    image : str
        A key of :func:`napari_cwtnet.inspection.images`.
    band : {"LL", "LH", "HL", "HH"}
        Which sub-band.
    depth : int
        Octaves, from 1.

    Raises
    ------
    RequestError
        If the image is too small for that depth.
    """
    pictures = images(field)
    pixels = pictures[image]
    values = np.moveaxis(haar(pixels, depth)[-1][band], 0, -1)
    return _band(
        field,
        name=f"band-{image}-{band}{depth}",
        title=f"{band}{depth} of {IMAGES[image]}",
        band=band,
        values=values,
        per_pixel=field.plan.region.width / pixels.shape[1] * 2**depth,
        depth=depth,
        # the same range for SR and truth, to compare them
        like=haar(pictures["truth"], depth)[-1][band]
        if image == "sr" and "truth" in pictures
        else None,
    )


def prediction_maps(field: Field) -> list[Map]:
    """The WT branch's sub-bands I_WT, each followed by its target where known."""
    made, known = [], targets(field)
    for name, values in predicted(field).items():
        pairs = [("predicted", "predicted by the WT branch", values)]
        if name in known:
            pairs.append(("target", "of the slide, its target", known[name]))
        made += [
            _band(
                field,
                name=f"wt-{which}-{name}",
                title=f"{name} {words}",
                band=name,
                values=np.moveaxis(stack, 0, -1),
                per_pixel=field.plan.downsample,
                depth=1,
                like=pairs[-1][2],
            )
            for which, words, stack in pairs
        ]
    return made


def _band(
    field: Field,
    *,
    name: str,
    title: str,
    band: str,
    values: Floats,
    per_pixel: float,
    depth: int,
    like: Floats | None = None,
) -> Map:
    """A sub-band ``(h, w, 3)``, shown in the range of ``like`` ``(3, h, w)``, to compare them."""
    whole = band in ("LL", "mean")
    if whole:
        low, high = 0.0, GREY * (2**depth if band == "LL" else 1)
    else:
        ranged = values.mean(-1) if like is None else like.mean(0)
        high = rounded_up(float(np.percentile(np.abs(ranged), 99.5)))
        low = -high
    meaning = f"Haar sub-band: {_BANDS[band].format(2**depth)}."
    if not whole:
        meaning += " Mid-grey is no detail."
    height, width = values.shape[:2]
    place = field.plan.region
    return Map(
        name=name,
        title=title,
        meaning=meaning,
        unit="grey levels",
        values=values,
        low=low,
        high=high,
        palette="grey",
        region=Region(place.x, place.y, width * per_pixel, height * per_pixel),
        downsample=per_pixel,
    )
