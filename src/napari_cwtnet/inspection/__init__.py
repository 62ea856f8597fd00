"""Inspection of a field: attention, sub-bands and trust maps."""

from napari_cwtnet.inspection.attention import (
    Patch,
    Probe,
    attention,
    displacement,
    matches_sentence,
    matches_within,
    probe,
)
from napari_cwtnet.inspection.bands import energies, haar, images, inverse
from napari_cwtnet.inspection.field import MAX_SIDE, Field, capture, field_request
from napari_cwtnet.inspection.maps import Map
from napari_cwtnet.inspection.survey import Survey, survey
from napari_cwtnet.inspection.trust import (
    CoarserScaleCheck,
    coarser_scale_check,
    self_ensemble_spread,
    trust_sentence,
)

__all__ = [
    "MAX_SIDE",
    "CoarserScaleCheck",
    "Field",
    "Map",
    "Patch",
    "Probe",
    "Survey",
    "attention",
    "capture",
    "coarser_scale_check",
    "displacement",
    "energies",
    "field_request",
    "haar",
    "images",
    "inverse",
    "matches_sentence",
    "matches_within",
    "probe",
    "self_ensemble_spread",
    "survey",
    "trust_sentence",
]
