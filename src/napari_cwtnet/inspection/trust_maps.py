"""How far to trust a field, as maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cwtnet.errors import RequestError
from napari_cwtnet.inspection import trust
from napari_cwtnet.inspection.field import Field
from napari_cwtnet.inspection.maps import Map, rounded_up

Floats = NDArray[np.float32]


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
