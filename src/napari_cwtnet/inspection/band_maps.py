"""Sub-bands as maps: those of the field's images, and what the WT branch predicts of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection import bands
from napari_cwtnet.inspection.field import Field
from napari_cwtnet.inspection.maps import Map, rounded_up
from napari_cwtnet.model.config import Band

Floats = NDArray[np.float32]

IMAGES = {
    "lr": "LR",
    "reference": "reference",
    "wr": "stand-in for the reference",
    "sr": "SR",
    "truth": "truth",
}
_BANDS = {
    "LL": "what is left at half the resolution",
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
        What was captured.
    image : str
        A key of :func:`napari_cwtnet.inspection.images`.
    band : {"LL", "LH", "HL", "HH"}
        Which sub-band.
    depth : int
        Octaves, from 1.

    Raises
    ------
    RequestError
        If the image does not bear that depth.
    """
    pictures = bands.images(field)
    pixels = pictures[image]
    values = np.moveaxis(bands.haar(pixels, depth)[-1][band], 0, -1)
    return _band(
        field,
        name=f"band-{image}-{band}{depth}",
        title=f"{band}{depth} of {IMAGES[image]}",
        band=band,
        values=values,
        per_pixel=field.plan.region.width / pixels.shape[1] * 2**depth,
        depth=depth,
        # SR and truth are there to be compared
        like=bands.haar(pictures["truth"], depth)[-1][band]
        if image == "sr" and "truth" in pictures
        else None,
    )


def prediction_maps(field: Field) -> list[Map]:
    """The WT branch's own sub-bands I_WT, each followed by what it is to equal, where known."""
    made, known = [], bands.targets(field)
    for name, values in bands.predicted(field).items():
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
    """A sub-band ``(h, w, 3)``; the range is that of ``like`` ``(3, h, w)``, to be compared."""
    whole = band in ("LL", "mean")
    if whole:
        low, high = 0.0, bands.GREY * (2**depth if band == "LL" else 1)
    else:
        ranged = values.mean(-1) if like is None else like.mean(0)
        high = rounded_up(float(np.percentile(np.abs(ranged), 99.5)))
        low = -high
    meaning = f"Haar sub-band: {_BANDS[band]}."
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
