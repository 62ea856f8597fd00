"""Which images of a file are levels of one pyramid: by their sizes, in doubt by their pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.backend import Level, Pixels, exact_downsample

ReadTile = Callable[[int, int, int], Pixels]
"""Pixels of a tile, by number of the image, column and row."""

_ROUNDING = 2
"""Pixels by which writers round the sides of a level."""
_PATCH, _PATCHES = 16, 6
_FLAT = 4.0
_UNLIKE = 0.25
_MOST_TRIED = 6
_COARSEST_COMPARED = 128
"""Times by which a level may be coarser than the finer one that it is compared with."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image of the file that may be a level.

    Parameters
    ----------
    size, tile : Size
        In its own pixels.
    stated : float, optional
        Its downsample as the reader of the file has it.
    sure : bool
        Whether the reader knows it of the file, and not from the sizes.
    """

    size: Size
    tile: Size
    stated: float | None = None
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Pyramid:
    """The levels that are believed.

    Parameters
    ----------
    levels : tuple of Level
        Finest first.
    numbers : tuple of int
        Which candidate each of them is.
    notes : tuple of str
        What was left out, and why.
    """

    levels: tuple[Level, ...]
    numbers: tuple[int, ...]
    notes: tuple[str, ...]


def pyramid_of(candidates: Sequence[Candidate], read_tile: ReadTile) -> Pyramid:
    """The levels among some images, of which the largest is level 0.

    A level is believed whose two sides are those of level 0 by one factor, to `_ROUNDING` pixels.
    One that was filled up to whole tiles is believed where its pixels agree with the finer level,
    and is cut to what it shows. All others are left out, with a note.

    Parameters
    ----------
    candidates : sequence of Candidate
        In any order.
    read_tile : callable
        Reads them; asked where the sizes leave a doubt.
    """
    order = sorted(range(len(candidates)), key=lambda i: -_area(candidates[i].size))
    finest = candidates[order[0]]
    levels, numbers = [Level(1.0, finest.size, finest.tile)], [order[0]]
    notes = []
    for number in order[1:]:
        one = candidates[number]
        why = None
        found = _level(finest.size, one)
        if found is None:
            why = "its sides are not those of level 0 by one factor"
            for padded in _padded(finest.size, one):
                if _agree(levels[-1], numbers[-1], padded, number, read_tile):
                    found = padded
                    break
        if found is not None and found.downsample <= levels[-1].downsample:
            found, why = None, f"there is one of downsample {levels[-1].downsample:g} already"
        if found is None:
            notes.append(f"level of {one.size.width} × {one.size.height} pixels is not used: {why}")
            continue
        levels.append(found)
        numbers.append(number)
    return Pyramid(tuple(levels), tuple(numbers), tuple(notes))


def rectangle(
    level: Level, read_tile: Callable[[int, int], Pixels], box: tuple[int, int, int, int]
) -> Pixels:
    """Pixels of a rectangle (left, top, right, bottom) inside a level, out of its tiles."""
    x, y, right, bottom = box
    out: Pixels | None = None
    for column, row in level.tiles_over(x, y, right, bottom):
        tile = read_tile(column, row)
        if out is None:
            out = np.full((bottom - y, right - x, tile.shape[2]), 255, np.uint8)
        left, top = column * level.tile.width - x, row * level.tile.height - y
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + tile.shape[1], right - x), min(top + tile.shape[0], bottom - y)
        out[y0:y1, x0:x1] = tile[y0 - top : y1 - top, x0 - left : x1 - left]
    assert out is not None
    return out


def _area(size: Size) -> int:
    return size.width * size.height


def _level(finest: Size, one: Candidate) -> Level | None:
    if one.sure:
        return Level(exact_downsample(finest, one.size, one.stated), one.size, one.tile)
    factor = exact_downsample(finest, one.size)
    if factor < 1 or any(
        abs(whole / factor - part) > _ROUNDING for whole, part in zip(finest, one.size, strict=True)
    ):
        return None
    if not factor.is_integer() and one.stated is not None:
        factor = one.stated
    return Level(factor, one.size, one.tile)


def _padded(finest: Size, one: Candidate) -> Iterator[Level]:
    """What an image shows of level 0 if it was filled up to whole tiles, by whole factors."""
    if any(side % part for side, part in zip(one.size, one.tile, strict=True)):
        return
    least = max(whole / side for whole, side in zip(finest, one.size, strict=True))
    most = min(
        whole / max(side - part, 1)
        for whole, side, part in zip(finest, one.size, one.tile, strict=True)
    )
    whole_ones = range(max(2, math.ceil(least - 1e-6)), min(math.ceil(most), 1025))
    likely = sorted(whole_ones, key=lambda f: (f & (f - 1) != 0, f))
    for factor in likely[:_MOST_TRIED]:  # each decodes tiles
        shown = Size(*(max(1, whole // factor) for whole in finest))
        yield Level(float(factor), shown, one.tile)


def _agree(
    fine: Level, fine_number: int, coarse: Level, coarse_number: int, read_tile: ReadTile
) -> bool:
    """Whether a level shows what the finer one shows, at places spread over it."""
    factor = coarse.downsample / fine.downsample
    if factor > _COARSEST_COMPARED:
        return False
    pairs = []
    for x, y in _places(coarse.size):
        right, bottom = (
            min(start + _PATCH, side) for start, side in zip((x, y), coarse.size, strict=True)
        )
        box = [value * factor for value in (x, y, right, bottom)]
        left, top = math.floor(box[0]), math.floor(box[1])
        ends = (min(math.ceil(box[2]), fine.size.width), min(math.ceil(box[3]), fine.size.height))
        if ends[0] <= left or ends[1] <= top:
            continue
        wanted = rectangle(coarse, lambda *at: read_tile(coarse_number, *at), (x, y, right, bottom))
        source = rectangle(fine, lambda *at: read_tile(fine_number, *at), (left, top, *ends))
        within = (
            box[0] - left, box[1] - top,
            min(box[2] - left, ends[0] - left), min(box[3] - top, ends[1] - top),
        )  # fmt: skip
        pairs.append((_grey(wanted), _grey(shrunk(source, (right - x, bottom - y), within))))
    first, second = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    spread = float(second.var())
    return spread > _FLAT and float(np.mean((first - second) ** 2)) < _UNLIKE * spread


def shrunk(pixels: Pixels, size: tuple[int, int], box: tuple[float, float, float, float]) -> Pixels:
    """Means over the parts of a box (left, top, right, bottom) that each output pixel covers."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize(size, Image.Resampling.BOX, box))


def _places(size: Size) -> Iterator[tuple[int, int]]:
    xs, ys = (
        sorted({int(v) for v in np.linspace(0, max(side - _PATCH, 0), _PATCHES)}) for side in size
    )
    yield from ((x, y) for y in ys for x in xs)


def _grey(pixels: Pixels) -> NDArray[np.float64]:
    return np.asarray(pixels[..., :3].mean(axis=2, dtype=np.float64))
