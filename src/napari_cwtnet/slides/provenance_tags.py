"""Images that this package wrote say so; here it is read back, lest they be taken for a slide."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Region

KEY = "napari_cwtnet"
"""Of the record, in the attributes of an OME-Zarr, in the map annotation of an OME-TIFF, and in
the Image Comments of DICOM."""
_AS_JSON = ("png.Comment", "zarr.Provenance")
_NO_BADGE = "COMPUTED · research use only"
_DICOM = "dicom.ImageComments"
_WHERE = ("png.Title", "tiff.ImageDescription", "zarr.Name", "dicom.DerivationDescription")
_BADGE = re.compile(r"(?:COMPUTED|ORACLE) (?:×\d+ )?· [^\"<>]*?research use only")
"""In files whose record was lost, such as a PNG that kept nothing but its title."""


def computed_badge(properties: Mapping[str, str]) -> str | None:
    """The badge of a computed image, from its file's properties; None for anything else.

    >>> computed_badge({"png.Comment": '{"computed": true, "badge": "COMPUTED · ×2 · a>b"}'})
    'COMPUTED · ×2 · a>b'
    """
    record = record_of(properties)
    if "computed" in record:
        badge = record.get("badge")
        known = badge if isinstance(badge, str) and badge else _NO_BADGE
        return known if record["computed"] is True else None
    for name in _WHERE:
        found = _BADGE.search(properties.get(name, ""))
        if found:
            return found.group()
    return None


def computed_place(properties: Mapping[str, str]) -> tuple[Region, float] | None:
    """What a computed image covers of its slide, and its downsample; None where it does not say."""
    if computed_badge(properties) is None:
        return None
    return place_on_slide(record_of(properties))


def computed_from(properties: Mapping[str, str]) -> str | None:
    """Fingerprint of the scanned slide that a computed image was made of; None if not said."""
    if computed_badge(properties) is None:
        return None
    known = record_of(properties)
    found = known.get("original_fingerprint", known.get("slide_fingerprint"))
    return found if isinstance(found, str) else None


def place_on_slide(provenance: Mapping[str, Any]) -> tuple[Region, float] | None:
    """Region and downsample of a computed image, in level-0 pixels of the scanned slide.

    An image computed from a computed image names both: ``region`` in pixels of what was read,
    ``original_region`` on the slide at the beginning.
    """
    origin = "original_" if "original_region" in provenance else ""
    name = "original_downsample" if origin else "output_downsample"
    try:
        region = Region(*(float(value) for value in provenance[f"{origin}region"]))
        downsample = float(provenance[name])
    except (KeyError, TypeError, ValueError, OverflowError, RequestError):
        return None
    return (region, downsample) if math.isfinite(downsample) and downsample > 0 else None


def record_of(properties: Mapping[str, str]) -> Mapping[str, Any]:
    """The record inside an image, as far as it can be read: a stranger may have edited it."""
    for name in _AS_JSON:
        if name in properties:
            return _mapping(properties[name])
    if _DICOM in properties:
        known = _mapping(properties[_DICOM]).get(KEY)
        return known if isinstance(known, dict) else {}
    try:
        root = ElementTree.fromstring(properties.get("tiff.ImageDescription", ""))
    except (ValueError, ElementTree.ParseError):
        return {}
    notes = {
        node.get("K", ""): node.text or ""
        for node in root.iter()
        if node.tag.rpartition("}")[2] == "M"
    }
    if KEY in notes:
        return _mapping(notes[KEY])
    return {key: _value(text) for key, text in notes.items()}  # of an earlier version


def _mapping(text: str) -> Mapping[str, Any]:
    found = _value(text)
    return found if isinstance(found, dict) else {}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
