"""A survey: all maps of a field, its figures, and optionally a probe."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_cwtnet.cancel import CancelToken
from napari_cwtnet.enhancement import Engine, EnhanceRequest, make_plan, measure
from napari_cwtnet.enhancement.input_origin import Origin, input_origins
from napari_cwtnet.errors import RequestError
from napari_cwtnet.inspection import bands, maps, trust
from napari_cwtnet.inspection.attention import (
    Probe,
    check_place,
    matches_within,
    no_attention,
    probe,
)
from napari_cwtnet.inspection.calibration import calibrated, check_calibratable, marked_map
from napari_cwtnet.inspection.field import Field, capture, cwtnet_config, field_request
from napari_cwtnet.inspection.maps import Map
from napari_cwtnet.inspection.trust import (
    CoarserScaleCheck,
    coarser_scale_check,
    self_ensemble_spread,
    trust_sentence,
)
from napari_cwtnet.model.wavelet import BANDS
from napari_cwtnet.slides import Slide


@dataclass(frozen=True, slots=True)
class Survey:
    """All maps and figures of a field."""

    field: Field
    attention: tuple[Map, ...]
    """S of each block and its mean; then, of a model that searches, each block's displacements."""
    bands: tuple[Map, ...]
    """Sub-bands of every image, deepest first, then the WT branch's own with their targets."""
    trust: tuple[Map, ...]
    probes: tuple[Probe, ...]
    """One per block, if a place was given."""
    origins: dict[str, Origin]
    """Of ``LR``, and of ``Reference`` where the network got one."""
    extrapolation: CoarserScaleCheck | None
    statistics: dict[str, Any]
    """JSON values."""


def survey(
    slide: Slide,
    engine: Engine,
    request: EnhanceRequest,
    *,
    place: tuple[float, float] | None = None,
    depth: int = 1,
    calibrate: bool = False,
    cancel: CancelToken | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Survey:
    """Capture a field and make all of its maps.

    Parameters
    ----------
    slide, engine, request, cancel
        See :func:`napari_cwtnet.inspection.capture`.
    place : (x, y), optional
        A place to probe in every block, level-0 pixels.
    depth : int
        Octaves of the sub-bands, fewer for images too small for it.
    calibrate : bool
        Whether to calibrate the expected error on the slide, and mark what not to rely on.
    progress : callable, optional
        Called with the number of passes done and the total; most passes are flips and turns.

    Raises
    ------
    CwtnetError
        If the request cannot be met, SR is too small for the depth, or ``cancel`` was called.
    """
    if progress is not None:
        progress(0, 1)
    # Refuse what is impossible before computing the first pixel.
    config = cwtnet_config(engine.model)
    plan = make_plan(slide, engine.model, field_request(slide, request))
    columns, rows = plan.output_size
    bands.check_depth(rows, columns, depth)
    if calibrate:
        check_calibratable(slide, engine.model, plan)
    if place is not None:
        check_place(plan.region, *place)
        if missing := no_attention(plan, config):
            raise RequestError(missing)
    field = capture(slide, engine, request, cancel=cancel)
    probes: tuple[Probe, ...] = ()
    if place is not None:
        probes = tuple(
            probe(field, engine, *place, block=number + 1) for number in range(field.blocks)
        )
    split = _bands(field, depth)
    gained = coarser_scale_check(slide, engine, field, cancel=cancel)
    turned = self_ensemble_spread(field, engine, cancel=cancel, progress=progress)
    blocks = range(1, field.blocks + 1)
    trust_shown = trust.trust_maps(field, turned)
    calibration = (
        calibrated(slide, engine, plan, cancel=cancel, progress=progress) if calibrate else None
    )
    if calibration is not None and calibration.threshold is not None:
        trust_shown.insert(0, marked_map(field, calibration))
    return Survey(
        field=field,
        attention=(
            *(maps.attention_map(field, block) for block in (*blocks, *([None] * bool(blocks)))),
            *(maps.displacement_map(field, block) for block in blocks if not field.aligned),
        ),
        bands=(*split, *bands.prediction_maps(field)),
        trust=tuple(trust_shown),
        probes=probes,
        origins=input_origins(slide, plan),
        extrapolation=gained,
        statistics=_statistics(slide, field, depth, trust_shown, gained)
        | {"calibration": None if calibration is None else calibration.as_dict()},
    )


def _bands(field: Field, depth: int) -> list[Map]:
    made = []
    for name, image in bands.images(field).items():
        last = bands.borne(image, depth)
        for octave in range(last, 0, -1):
            shown = BANDS if octave == last else bands.DETAILS
            made += [bands.band_map(field, name, band, octave) for band in shown]
    return made


def _statistics(
    slide: Slide, field: Field, depth: int, trust: list[Map], gained: CoarserScaleCheck | None
) -> dict[str, Any]:
    known = None if gained is None else gained.here
    quality = measure(slide, field.plan, field.sr) if known is None else known
    means = {one.name: float(np.nanmean(one.values)) for one in trust}
    matches = matches_within(field) if field.blocks else {}
    per_block = [matches_within(field, block) for block in range(1, field.blocks + 1)]
    return {
        "matches_within": {str(limit): share for limit, share in matches.items()},
        "matches_within_per_block": [
            {str(limit): share for limit, share in shares.items()} for shares in per_block
        ],
        "aligned": field.aligned,
        "attention_mean": [float(s.mean()) for s in field.relevance],
        "band_energies": {
            name: bands.energies(bands.haar(image, bands.borne(image, depth)))
            for name, image in bands.images(field).items()
        },
        "wt_error_mean": _wt_error(field),
        "consistency_mean": means["consistency"],
        "tta_std_mean": means["spread"],
        "expected_error_mean": means.get("expected-error"),
        "error_mean": means.get("error"),
        **_finite(quality.as_dict()),
        "extrapolation": trust_sentence(field, gained),
        "extrapolation_octaves": None if gained is None else gained.octaves,
        "extrapolation_gain": None if gained is None else gained.gain,
    }


def _finite(figures: dict[str, float | None]) -> dict[str, float | None]:
    """JSON has no infinity: the PSNR of equal images becomes null."""
    return {k: None if v is not None and math.isinf(v) else v for k, v in figures.items()}


def _wt_error(field: Field) -> dict[str, float]:
    """Mean absolute difference of I_WT from its target, grey levels, by band."""
    known = bands.targets(field)
    return {
        name: float(np.abs(values - known[name]).mean())
        for name, values in bands.predicted(field).items()
        if name in known
    }
