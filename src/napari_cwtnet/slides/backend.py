"""What every file reader offers to `Slide`: stored tiles and metadata, nothing computed."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from napari_cwtnet.errors import RequestError
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.compression import Encoding
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation
from napari_cwtnet.slides.fork_safety import renewed_after_fork
from napari_cwtnet.slides.resolution import Resolution

_SLACK = 1e-6
_SEEN = 0.05
"""Level-0 pixels; less is not worth a word."""
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
    place : callable, optional
        Measures `shift`, and keeps it.
    """

    downsample: float
    size: Size
    tile: Size
    look: Callable[[], Degradation] | None = field(default=None, compare=False, repr=False)
    place: Callable[[], tuple[float, float]] | None = field(default=None, compare=False, repr=False)

    @property
    def degradation(self) -> Degradation:
        """What its pixels went through, as far as the file says.

        Looked for at first use, which takes up to a second where it is fitted.
        """
        return UNKNOWN if self.look is None else self.look()

    @property
    def shift(self) -> tuple[float, float]:
        """Right and down, level-0 pixels, by which its content lies beside its place.

        Measured at first use, against the finer levels; as long as for `degradation`.
        """
        return (0.0, 0.0) if self.place is None else self.place()

    @property
    def history(self) -> str:
        """`degradation` and, where there is one, `shift` in words."""
        sides = zip(self.shift, (("left of", "right of"), ("above", "below")), strict=True)
        where = [f"{abs(d):.3g} px {names[d > 0]}" for d, names in sides if abs(d) >= _SEEN]
        words = str(self.degradation)
        if not where:
            return words
        return f"{words} · {' and '.join(where)} its place (level-0 px), corrected when enhancing"

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


Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)


class Backend(Protocol):
    """One open file.

    Attributes
    ----------
    format : str
        Short lower-case name of the format, such as ``"aperio"`` or ``"ome-tiff"``.
    levels : tuple of Level
        Finest first.
    resolution : Resolution
        What the file says about its pixel size, checked.
    properties : Mapping of str to str
        Metadata as the file has it.
    background : tuple of int
        RGB colour of places without pixels, 0..255.
    icc_profile : bytes or None
        Embedded colour profile.
    notes : tuple of str
        What of the file is not used, or taken otherwise than some readers do; one line each.
    origin : tuple of int
        The level-0 pixel from which QuPath counts its coordinates.
    images : tuple of str
        What each image of the file is, which `open_slide` may be asked for by number.
    image : int
        The number of this one.
    default_image : int or None
        The number of the one that is read where none is asked for; None where one must be.
    """

    format: str
    levels: tuple[Level, ...]
    resolution: Resolution
    properties: Mapping[str, str]
    background: Colour
    icc_profile: bytes | None
    notes: tuple[str, ...]
    origin: tuple[int, int]
    images: tuple[str, ...]
    image: int
    default_image: int | None

    def read_tile(self, level: int, column: int, row: int) -> Pixels:
        """One tile, cut at the level's edge: (h, w, 3) RGB or (h, w, 4) RGBA, uint8.

        Raises
        ------
        SlideError
            If the file cannot be read or decoded there.
        """

    def encoding(self, level: int) -> Encoding | None:
        """How the tiles of a level are encoded; None where that is not known.

        Raises
        ------
        SlideError
            If the file cannot be read there.
        """

    def identity(self) -> Iterator[bytes]:
        """Bytes that tell this slide's image from others; never from the label image."""

    def close(self) -> None:
        """Let go of the file."""


DEFAULT_BYTES = 256 * 2**20

Tile = NDArray[np.uint8]
Key = tuple[Hashable, int, int, int]


class TileCache:
    """Least recently used tiles go first; a tile wanted by many threads is decoded once.

    Parameters
    ----------
    max_bytes : int
        Upper bound of the pixels kept.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self._tiles: LRUCache[Key, Tile] = LRUCache(max_bytes, getsizeof=lambda tile: tile.nbytes)
        self._decoding: dict[Key, Future[Tile]] = {}
        self._lock = threading.Lock()
        renewed_after_fork(self)

    def renew_after_fork(self) -> None:
        """Keep no tile: another thread may have been in the middle of keeping one."""
        self._tiles = LRUCache(self._tiles.maxsize, getsizeof=lambda tile: tile.nbytes)
        self._decoding = {}
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels kept now."""
        with self._lock:
            return int(self._tiles.currsize)

    def get(self, key: Key, decode: Callable[[], Tile]) -> Tile:
        """The tile of ``key``, read-only; from ``decode`` where it is not kept.

        Whatever ``decode`` raises reaches every thread that waits for this tile; nothing is kept.
        """
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                return tile
            future = self._decoding.get(key)
            mine = future is None
            if future is None:
                future = self._decoding[key] = Future()
        if not mine:
            return future.result()
        try:
            tile = decode()
            tile.flags.writeable = False
        except BaseException as error:
            with self._lock:
                del self._decoding[key]
            future.set_exception(error)
            raise
        with self._lock:
            if tile.nbytes <= self._tiles.maxsize:
                self._tiles[key] = tile
            del self._decoding[key]
        future.set_result(tile)
        return tile

    def forget(self, owner: Hashable) -> None:
        """Drop the tiles of one owner, the first part of their keys."""
        with self._lock:
            for key in [key for key in self._tiles if key[0] == owner]:
                del self._tiles[key]


SHARED_CACHE = TileCache()


def chosen_image(name: str, image: int | None, count: int, default: int = 0) -> int:
    """The number of the image of a file that is meant.

    Parameters
    ----------
    name : str
        Of the file.
    image : int or None
        What was asked for.
    count : int
        How many there are.
    default : int
        The one that is taken where none was asked for.

    Raises
    ------
    RequestError
        If there is no such image.
    """
    if image is None:
        return default
    if not 0 <= image < count:
        has = "one image, number 0" if count == 1 else f"images 0 to {count - 1}"
        raise RequestError(f"Image {image} is not in {name!r}, which has {has}; choose another.")
    return image
