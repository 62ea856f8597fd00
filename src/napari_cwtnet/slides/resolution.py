"""Pixel size in µm per pixel: read from metadata, checked, or set by the user."""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.etree import ElementTree

from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Size

FINEST_MPP = 0.05
COARSEST_MPP = 20.0
_SQUARE = 1.02
REMEDY = "set mpp, in µm per pixel, to use physical sizes"

_MICROMETRES = {
    "m": 1e6, "dm": 1e5, "cm": 1e4, "mm": 1e3, "µm": 1.0, "um": 1.0, "micron": 1.0,
    "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0, "nm": 1e-3, "pm": 1e-6, "fm": 1e-9,
    "å": 1e-4, "km": 1e9, "in": 25400.0, "inch": 25400.0, "ft": 304800.0, "yd": 914400.0,
    "mi": 1.609344e9, "pt": 25400.0 / 72, "thou": 25.4, "li": 25400.0 / 12,
}  # fmt: skip
_PER_UNIT = {2: 25400.0, 3: 10000.0}
_NAMES = {2: "inch", 3: "cm"}


@dataclass(frozen=True, slots=True)
class Resolution:
    """Pixel size at level 0.

    Parameters
    ----------
    mpp : float or None
        µm per pixel, between `FINEST_MPP` and `COARSEST_MPP`, the mean of both sides; None where
        it is not known.
    note : str or None
        Why it is absent, or where it comes from if not from the file.
    by_user : bool
        Whether the user set it.
    aspect : float
        Height of a pixel over its width.
    """

    mpp: float | None
    note: str | None
    by_user: bool = False
    aspect: float = 1.0

    @property
    def sides(self) -> tuple[float, float] | None:
        """Width and height of a pixel, µm."""
        return None if self.mpp is None else pixel_sides(self.mpp, self.aspect)

    def turned(self) -> Resolution:
        """The same pixels after a quarter turn."""
        if self.sides is None or self.aspect == 1:
            return self
        width, height = self.sides
        return _of_sides(height, width)


def pixel_sides(mean: float, aspect: float) -> tuple[float, float]:
    """Width and height of a pixel from their mean and the height over the width.

    >>> pixel_sides(0.375, 2)
    (0.25, 0.5)
    """
    width = 2 * mean / (1 + aspect)
    return width, width * aspect


def micrometres(value: float, unit: str) -> float | None:
    """A length in µm; None where the unit is no length (``"pixel"``).

    Examples
    --------
    >>> micrometres(250, "nm")
    0.25
    """
    # NFKC-like: the Greek letter mu is a common stand-in for the micro sign.
    factor = _MICROMETRES.get(unit.strip().replace("\u03bc", "\u00b5").lower())
    return None if factor is None else value * factor


def stated_resolution(x: float | None, y: float | None, source: str) -> Resolution:
    """The resolution that a file states, or the reason why it is not believed.

    Parameters
    ----------
    x, y : float or None
        µm per pixel along each axis.
    source : str
        Name of the metadata field, for the note.
    """
    known = [value for value in (x, y) if value is not None]
    if not known:
        return Resolution(None, f"{source} is missing; {REMEDY}")
    for value in known:
        if not _sane(value):
            return Resolution(
                None,
                f"{source} says {value:.6g} µm/px, outside {FINEST_MPP:g} to "
                f"{COARSEST_MPP:g} µm/px; {REMEDY}",
            )
    return _of_sides(known[0], known[-1])


def _of_sides(width: float, height: float) -> Resolution:
    aspect = height / width
    note = None if is_square(aspect) else f"pixels are not square: {width:g} × {height:g} µm"
    return Resolution((width + height) / 2, note, aspect=aspect)


def is_square(aspect: float) -> bool:
    """Whether pixels of this height over width pass for square: to two hundredths."""
    return 1 / _SQUARE <= aspect <= _SQUARE


def user_resolution(mpp: float) -> Resolution:
    """The resolution that a user sets.

    Raises
    ------
    RequestError
        If it is not a number between `FINEST_MPP` and `COARSEST_MPP`.
    """
    if not _sane(mpp):
        raise RequestError(
            f"mpp {mpp!r} is not a pixel size of a slide; "
            f"give µm per pixel between {FINEST_MPP:g} and {COARSEST_MPP:g}."
        )
    return Resolution(float(mpp), "set by user", by_user=True)


def ome_resolution(xml: str, size: Size) -> Resolution | None:
    """Resolution of the image of ``size`` in an OME-XML text (PhysicalSizeX and Y, any unit).

    None where it describes no image of that size, or says nothing of its pixels.
    """
    try:
        pixels = _ome_pixels(xml, size)
    except ElementTree.ParseError:
        return Resolution(None, f"OME-XML is not well-formed; {REMEDY}")
    if pixels is None or pixels.get("PhysicalSizeX") is pixels.get("PhysicalSizeY") is None:
        return None
    x, y = (_ome_length(pixels, f"PhysicalSize{axis}") for axis in "XY")
    return stated_resolution(x, y, "OME PhysicalSizeX")


def ome_significant_bits(xml: str, size: Size) -> int | None:
    """Bits of each sample that the image of ``size`` uses, as an OME-XML text has it."""
    try:
        pixels = _ome_pixels(xml, size)
    except ElementTree.ParseError:
        return None
    bits = number(None if pixels is None else pixels.get("SignificantBits"))
    return None if bits is None else int(bits)


def _ome_pixels(xml: str, size: Size) -> ElementTree.Element | None:
    wanted = (str(size.width), str(size.height))
    for node in ElementTree.fromstring(xml).iter():
        sides = (node.get("SizeX"), node.get("SizeY"))
        if node.tag.rpartition("}")[2] == "Pixels" and sides == wanted:
            return node
    return None


def tag_resolution(x: float, y: float, unit: int) -> Resolution:
    """Resolution from pixels per unit as TIFF and EXIF have it (2: inch, 3: cm)."""
    if unit not in _PER_UNIT or x <= 0 or y <= 0:
        return stated_resolution(None, None, "pixel size")
    return stated_resolution(
        _PER_UNIT[unit] / x, _PER_UNIT[unit] / y, f"resolution tag ({x:.6g} per {_NAMES[unit]})"
    )


def _ome_length(pixels: ElementTree.Element, name: str) -> float | None:
    value = number(pixels.get(name))
    return None if value is None else micrometres(value, pixels.get(f"{name}Unit", "µm"))


def number(text: str | None) -> float | None:
    """A finite number out of a text, else None."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _sane(mpp: float) -> bool:
    return math.isfinite(mpp) and FINEST_MPP <= mpp <= COARSEST_MPP
