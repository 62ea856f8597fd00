"""Everything that can be shown of a field, each with its title, unit, range and meaning.

The docks, the files and the report all show these, so that a map says the same everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region
from napari_cwtnet.inspection import bands, trust
from napari_cwtnet.inspection.attention import attention, displacement, matches_sentence
from napari_cwtnet.inspection.colours import Palette
from napari_cwtnet.inspection.field import Field
from napari_cwtnet.inspection.probe import Probe
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


@dataclass(frozen=True, slots=True)
class Map:
    """Values over a part of a slide, and what a person must know to read them."""

    name: str
    """Of its files, such as ``attention-block-1``."""
    title: str
    meaning: str
    """One sentence or two."""
    unit: str
    values: NDArray[Any]
    """``(h, w)``, ``(h, w, 2)`` for directions (down, right), or ``(h, w, 3)`` for RGB."""
    low: float
    high: float
    """The range that is shown."""
    palette: Palette
    region: Region
    """What it covers, level-0 pixels."""
    downsample: float
    """Level-0 pixels per value."""

    @property
    def shown(self) -> NDArray[Any]:
        """``(h, w)``: the values, or their mean over RGB; directions as they are."""
        if self.values.ndim == 3 and self.palette != "direction":
            return np.asarray(self.values.mean(-1))
        return self.values

    @property
    def stretched(self) -> Map:
        """The same with a range from the 1st to the 99th percentile of its values."""
        if self.palette == "direction":
            return self
        low, high = (float(v) for v in np.nanpercentile(self.shown, (1, 99)))
        if self.low == -self.high and self.palette != "heat":
            high = max(abs(low), abs(high))
            low = -high
        return replace(self, low=low, high=high if high > low else low + 1e-6)


def attention_map(field: Field, block: int | None = None) -> Map:
    """S of a block, or its mean over all, on the LR grid."""
    which = f"block {block} of {field.blocks}" if block else f"mean of {field.blocks} blocks"
    return Map(
        name=f"attention-block-{block}" if block else "attention-mean",
        title=f"Attention S, {which}",
        meaning=(
            "How alike a patch of the image that is being sharpened and its match in the wavelet "
            "branch are: 1 the same direction, 0 nothing in common, −1 opposite. Texture is taken "
            "over in proportion to it."
        ),
        unit="cosine",
        values=attention(field, block),
        low=-1.0,
        high=1.0,
        palette="heat",
        region=field.plan.region,
        downsample=field.plan.downsample,
    )


def displacement_map(field: Field, block: int) -> Map:
    """Steps from each LR pixel to its match, as directions, in LR pixels."""
    steps = displacement(field, block).astype(np.float32)
    longest = float(np.hypot(steps[..., 0], steps[..., 1]).max())
    return Map(
        name=f"displacement-block-{block}",
        title=f"Where the texture came from, block {block} of {field.blocks}",
        meaning=(
            "The step from a patch to its match: hue tells the direction, saturation the distance; "
            f"white is the same place. {matches_sentence(field, block)}"
        ),
        unit="LR pixels",
        values=steps,
        low=0.0,
        high=rounded_up(longest) if longest else 1.0,
        palette="direction",
        region=field.plan.region,
        downsample=field.plan.downsample,
    )


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


def trust_maps(field: Field, spread: Floats | None = None) -> list[Map]:
    """Consistency, attention confidence, spread (if given), true error, local PSNR and SSIM."""
    names = [name for name in trust_names(field) if name != "spread" or spread is not None]
    return [trust_map(field, name, spread) for name in names]


def trust_names(field: Field) -> list[str]:
    """Names of the trust maps that a field bears, such as ``local-psnr``."""
    absent = set() if field.truth is not None else {"error", "local-psnr", "local-ssim"}
    if not field.blocks:
        absent.add("confidence")
    return [name for name in _TRUST if name not in absent]


def trust_map(field: Field, name: str, spread: Floats | None = None) -> Map:
    """One of :func:`trust_names`; ``spread`` has to be given where it is the one.

    Raises
    ------
    RequestError
        If the field does not bear it.
    """
    values: Floats | None = None
    if name == "consistency":
        values = trust.consistency(field.sr, field.lr)
    elif name == "confidence":
        values = trust.confidence(field)
    elif name == "spread":
        values = spread
    elif name in _TRUST:
        measures = {
            "error": trust.error,
            "local-psnr": trust.local_psnr,
            "local-ssim": trust.local_ssim,
        }
        values = measures[name](field)
    if values is None:
        raise RequestError(
            f"Map {name!r} cannot be had of this field; choose one of "
            f"{', '.join(trust_names(field))}."
        )
    return _trust(field, name, values)


_TRUST: dict[str, tuple[str, str, str]] = {
    "consistency": (
        "Consistency |D(SR) − LR|",
        "grey levels",
        "SR made coarse again and compared with what was read: bright places contradict the slide "
        "(the outermost two pixels cannot be told).",
    ),
    "confidence": (
        "Attention confidence",
        "cosine",
        "Mean of S over the blocks: where it is low, little texture was taken over from the "
        "wavelet branch.",
    ),
    "spread": (
        "Spread over flips and turns",
        "grey levels",
        "Standard deviation over the eight ways to turn the input: bright places change when the "
        "tissue is turned, so the network guesses there.",
    ),
    "error": (
        "True error |SR − truth|",
        "grey levels",
        "Difference from the slide's own pixels, which the network was not given.",
    ),
    "local-psnr": (
        "Local PSNR",
        "dB",
        "Likeness to the slide's own pixels in the 11 × 11 pixels around each place: higher is "
        "better.",
    ),
    "local-ssim": (
        "Local SSIM",
        "SSIM",
        "Likeness of structure to the slide's own pixels in the 11 × 11 pixels around each place: "
        "1 is equal.",
    ),
}
_FIXED = {"confidence": (-1.0, 1.0), "local-psnr": (10.0, 50.0), "local-ssim": (0.0, 1.0)}


def _trust(field: Field, name: str, values: Floats) -> Map:
    title, unit, meaning = _TRUST[name]
    if name == "error" and field.plan.mode == "oracle":
        meaning = "Difference from the slide's own pixels, which the network WAS given (oracle)."
    highest = rounded_up(float(np.nanpercentile(values, 99.5)))
    low, high = _FIXED.get(name, (0.0, max(1.0, highest)))
    return Map(
        name=name,
        title=title,
        meaning=meaning,
        unit=unit,
        values=values,
        low=low,
        high=high,
        palette="heat",
        region=field.plan.region,
        downsample=field.plan.region.width / values.shape[1],
    )


def probe_map(field: Field, probe: Probe) -> Map:
    """r(i, ·) of one query, over the tile that it was computed in."""
    x, y = (probe.query.x + probe.query.width / 2, probe.query.y + probe.query.height / 2)
    return Map(
        name=f"probe-block-{probe.block}",
        title=f"Relevance to the patch at {x:.0f}, {y:.0f}, block {probe.block}",
        meaning=(
            "r(i, ·): how alike every patch that the network could see is to the one asked. "
            f"{probe.sentence}"
        ),
        unit="cosine",
        values=probe.relevance,
        low=float(probe.relevance.min()),
        high=float(probe.relevance.max()),
        palette="heat",
        region=probe.region,
        downsample=field.plan.downsample,
    )


def rounded_up(value: float) -> float:
    """The next of 1, 2, 3, 5, 10, 20, 30 … that is not below a value above 0; 1 for 0.

    >>> rounded_up(3.2), rounded_up(0.07), rounded_up(0)
    (5.0, 0.1, 1.0)
    """
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        float(step * power) for step in (1, 2, 3, 5, 10) if value <= step * power * (1 + 1e-9)
    )
