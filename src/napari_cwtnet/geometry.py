"""Frozen value types for places on a slide; the unit is in the name or in the docstring.

Level-0 coordinates are continuous: pixel ``(0, 0)`` covers ``[0, 1) × [0, 1)``, x to the right and
y down. An image of a region at downsample ``d`` has pixel ``k`` over ``[x + k·d, x + (k + 1)·d)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from napari_cwtnet.errors import RequestError

MAGNIFICATION_TOLERANCE = 0.10
_MAGNIFICATIONS = {80: 0.125, 40: 0.25, 20: 0.5, 10: 1.0, 5: 2.0}
_COUNTS = {2: "two", 4: "four"}

_Number = TypeVar("_Number", int, float)


class Size(NamedTuple):
    """Width and height of an image, in its own pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in level-0 pixels; floats are allowed.

    Parameters
    ----------
    x, y : float
        Upper left corner.
    width, height : float
        Extent, above 0.

    Raises
    ------
    RequestError
        If a value is not finite or the extent is not above 0.
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        values = (self.x, self.y, self.width, self.height)
        if not all(math.isfinite(v) for v in values) or self.width <= 0 or self.height <= 0:
            raise RequestError(
                f"Region {self} has no area; give X,Y,WIDTH,HEIGHT in level-0 pixels, "
                "width and height above 0."
            )

    def __str__(self) -> str:
        return ",".join(f"{v:.10g}" for v in (self.x, self.y, self.width, self.height))

    @property
    def right(self) -> float:
        """First x beyond the region."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """First y beyond the region."""
        return self.y + self.height

    @classmethod
    def parse(cls, text: str) -> Region:
        """Region from ``"X,Y,WIDTH,HEIGHT"``, level-0 pixels.

        >>> Region.parse("10,20,300,200").right
        310.0
        """
        return cls(*parse_numbers(text, float, "Region", "X,Y,WIDTH,HEIGHT", "level-0 pixels"))

    @classmethod
    def of(cls, numbers: Region | Sequence[float]) -> Region:
        """The region, or that of ``(x, y, width, height)``.

        >>> Region.of((10, 20, 300, 200)).right
        310.0
        """
        if isinstance(numbers, cls):
            return numbers
        return cls.parse(",".join(map(str, numbers)))  # type: ignore[arg-type]

    def size_at(self, downsample: float) -> Size:
        """Size in pixels of this region's image at ``downsample``; at least 1 × 1."""
        return Size(max(1, round(self.width / downsample)), max(1, round(self.height / downsample)))

    def intersection(self, other: Region) -> Region | None:
        """The part inside ``other``; None where they do not overlap."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        width, height = min(self.right, other.right) - x, min(self.bottom, other.bottom) - y
        return Region(x, y, width, height) if width > 0 and height > 0 else None


def parse_numbers(
    text: str, number: Callable[[str], _Number], what: str, names: str, unit: str
) -> tuple[_Number, ...]:
    """Numbers with commas between, as many as there are names: two or four.

    Parameters
    ----------
    text : str
        As typed.
    number : int or float
        Their kind.
    what, names, unit : str
        What they are, how each is called, such as ``"X,Y"``, and in what they are given.

    Raises
    ------
    RequestError
        If they are more, fewer, or no such numbers.

    >>> parse_numbers("10, 20.5", float, "Probe", "X,Y", "level-0 pixels")
    (10.0, 20.5)
    """
    parts, count = text.split(","), names.count(",") + 1
    try:
        values = tuple(number(part) for part in parts)
    except ValueError:
        values = ()
    if len(values) != count:
        kind = "whole numbers" if number is int else "numbers"
        raise RequestError(
            f"{what} {text!r} is not {_COUNTS[count]} {kind}; give {names} in {unit}."
        )
    return values


def magnification(mpp: float | None) -> int | None:
    """The label (80, 40, 20, 10 or 5) that names ``mpp`` µm per pixel within ±10 %, else None."""
    if mpp is None:
        return None
    for label, nominal in _MAGNIFICATIONS.items():
        if abs(mpp / nominal - 1) <= MAGNIFICATION_TOLERANCE:
            return label
    return None


def describe_resolution(mpp: float | None, downsample: float) -> str:
    """Words for an image ``downsample`` level-0 pixels a pixel, on a slide of ``mpp`` µm a pixel.

    >>> describe_resolution(0.25, 2)
    '0.500 µm/px (20×)'
    >>> describe_resolution(None, 2)
    'downsample 2'
    """
    if mpp is None:
        return f"downsample {downsample:g}"
    label = magnification(mpp * downsample)
    return f"{mpp * downsample:.3f} µm/px" + (f" ({label}×)" if label else "")
