"""What has to be right in the OME-XML of a TIFF file before tifffile may follow it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from xml.etree import ElementTree

from napari_cwtnet.errors import SlideError

_MOST_PLANES = 2**20
_MOST_PIECES = 2**24


def check_ome_xml(xml: str, name: str, smallest: int) -> tuple[str, ...]:
    """Refuse OME-XML that promises more planes than any file has.

    Parameters
    ----------
    xml : str
        The text; one that is not well-formed promises nothing.
    name : str
        Of the file.
    smallest : int
        Pixels of the file's smallest image, which the text may take for a plane.

    Returns
    -------
    tuple of str
        A note where the text names other files: they are not opened.

    Raises
    ------
    SlideError
        If it states too many planes.
    """
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        return ()
    for node in root.iter():
        planes, pieces = _planes(node), 1
        if node.tag.rpartition("}")[2] == "Pixels":
            pieces = planes * _number(node, "SizeX") * _number(node, "SizeY") // max(1, smallest)
        if planes > _MOST_PLANES or pieces > _MOST_PIECES:
            raise SlideError(
                f"Slide {name!r} is a stack or multi-channel image of {max(planes, pieces)} planes "
                "by its OME-XML; save one plane of it as RGB or greyscale and open that."
            )
    return tuple(_notes(root))


def _planes(node: ElementTree.Element) -> int:
    kind = node.tag.rpartition("}")[2]
    if kind == "Pixels":
        return math.prod(max(1, _number(node, f"Size{axis}")) for axis in "ZCT")
    if kind == "TiffData":
        counted = _number(node, "PlaneCount"), _number(node, "NumPlanes")
        return max(*counted, *(_number(node, f"First{axis}") for axis in "ZCT"))
    if kind.startswith("ModuloAlong"):
        first, last, step = (_real(node, side) for side in ("Start", "End", "Step"))
        return int((last - first) / abs(step or 1.0)) + 1
    return 1


def _notes(root: ElementTree.Element) -> Iterator[str]:
    named = [node for node in root.iter() if node.tag.rpartition("}")[2] == "UUID"]
    files = {node.get("FileName") or node.text for node in named}
    if len(files) > 1:
        yield (
            f"the file is one of {len(files)} of an OME-TIFF; the others are not opened, shown is "
            "what this one holds"
        )
    if any(node.tag.rpartition("}")[2] == "BinaryOnly" for node in root):
        yield "the metadata of the file are in another file of its OME-TIFF, which is not opened"


def _number(node: ElementTree.Element, name: str) -> int:
    try:
        return int(node.get(name, "0"))
    except ValueError:
        return 0


def _real(node: ElementTree.Element, name: str) -> float:
    try:
        value = float(node.get(name, "0"))
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0
