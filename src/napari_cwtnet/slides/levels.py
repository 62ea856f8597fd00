"""The stored levels of a pyramid and their exact downsamples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation

_SLACK = 1e-6
_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class Level:
    """A stored image of the pyramid.

    Parameters
    ----------
    downsample : float
        Level-0 pixels per pixel of this level: the exact factor, not the ratio of rounded sizes.
    size : Size
        In pixels of this level.
    tile : Size
        Size of the tiles that it is read by, in pixels of this level.
    look : callable, optional
        Finds `degradation` in the file, and keeps it.
    """

    downsample: float
    size: Size
    tile: Size
    look: Callable[[], Degradation] | None = field(default=None, compare=False, repr=False)

    @property
    def degradation(self) -> Degradation:
        """What its pixels went through, as far as the file says.

        Looked for at first use, which takes up to a second where it is fitted.
        """
        return UNKNOWN if self.look is None else self.look()

    @property
    def grid(self) -> tuple[int, int]:
        """Columns and rows of tiles."""
        return (
            math.ceil(self.size.width / self.tile.width),
            math.ceil(self.size.height / self.tile.height),
        )

    def tiles_over(self, x: int, y: int, right: int, bottom: int) -> Iterator[tuple[int, int]]:
        """Column and row of each tile that meets a rectangle inside the level, in its pixels."""
        for row in range(y // self.tile.height, -(-bottom // self.tile.height)):
            for column in range(x // self.tile.width, -(-right // self.tile.width)):
                yield column, row


def exact_downsample(finest: Size, size: Size, stated: float | None = None) -> float:
    """Level-0 pixels per pixel of a level, from sizes that were rounded to whole pixels.

    Parameters
    ----------
    finest, size : Size
        Of level 0 and of the level.
    stated : float, optional
        What the file's reader says; believed where the sizes fit no whole factor.

    Returns
    -------
    float
        The whole factor that explains both sizes to less than a pixel, else ``stated``, else the
        ratio of the longer sides.

    Examples
    --------
    >>> exact_downsample(Size(4443, 3567), Size(2221, 1783))
    2.0
    >>> exact_downsample(Size(2500, 2500), Size(312, 312))
    8.0
    >>> exact_downsample(Size(1000, 800), Size(300, 240))
    3.3333333333333335
    """
    longer = 0 if finest.width >= finest.height else 1
    ratio = finest[longer] / size[longer]
    # A small level is explained by several whole factors (2500 -> 78 by 32, but 300 -> 10 by 28
    # to 32 too); pyramids are made by powers of two far more often than by anything else.
    power = 2.0 ** round(math.log2(ratio))
    for factor in (power, float(round(ratio))):
        if factor >= 1 and all(abs(finest[i] / factor - size[i]) < 1 for i in (0, 1)):
            return factor
    return stated or ratio


def best_level(levels: Sequence[Level], downsample: float) -> int:
    """Index of the coarsest level that is as fine as ``downsample`` or finer.

    Examples
    --------
    >>> levels = [Level(d, Size(1, 1), Size(1, 1)) for d in (1, 4, 16)]
    >>> best_level(levels, 15.9), best_level(levels, 16), best_level(levels, 100)
    (1, 2, 2)
    """
    limit = downsample * (1 + _SLACK)
    fine_enough = [i for i, level in enumerate(levels) if level.downsample <= limit]
    return max(fine_enough, key=lambda i: levels[i].downsample, default=0)


def is_of(level: Level, downsample: float) -> bool:
    """Whether a level has this downsample, but for the rounding of its sides."""
    return abs(level.downsample - downsample) <= _ROUNDING * downsample
