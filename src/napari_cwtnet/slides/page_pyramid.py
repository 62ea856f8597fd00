"""Levels that are pages of a TIFF file, read without a library between."""

from __future__ import annotations

import math
from collections.abc import Sequence

from napari_cwtnet.slides.backend import WHITE, Pixels
from napari_cwtnet.slides.colour import over_background
from napari_cwtnet.slides.levels import Level
from napari_cwtnet.slides.pyramid import Candidate, Pyramid, pyramid_of, rectangle, shrunk
from napari_cwtnet.slides.tiff_pages import PageTiles


class PagePyramid:
    """Pages as levels; a tile that a coarser level lacks is made of the next finer one.

    Parameters
    ----------
    pages : sequence of PageTiles
        One for each level.
    levels : sequence of Level
        Finest first.
    """

    def __init__(self, pages: Sequence[PageTiles], levels: Sequence[Level]) -> None:
        self.pages = tuple(pages)
        self.levels = tuple(levels)

    def read_tile(self, level: int, column: int, row: int) -> Pixels:
        """One tile, cut at the page's edge: (h, w, 3) RGB or (h, w, 4) RGBA, uint8."""
        page = self.pages[level]
        # Aperio leaves out tiles of its coarser levels; OpenSlide fills them likewise.
        if level and page.is_missing(column, row):
            return self._of_finer(level, column, row)
        return page.read_tile(column, row)

    def _of_finer(self, level: int, column: int, row: int) -> Pixels:
        stored, finer = self.levels[level], self.levels[level - 1]
        factor = stored.downsample / finer.downsample
        x, y = column * stored.tile.width, row * stored.tile.height
        width = min(stored.tile.width, stored.size.width - x)
        height = min(stored.tile.height, stored.size.height - y)
        left, top = (
            min(start * factor, side - 1) for start, side in zip((x, y), finer.size, strict=True)
        )
        right, bottom = (
            min(end * factor, side)
            for end, side in zip((x + width, y + height), finer.size, strict=True)
        )
        x0, y0 = math.floor(left), math.floor(top)
        pixels = rectangle(
            finer,
            lambda *at: over_background(self.read_tile(level - 1, *at), WHITE),
            (x0, y0, math.ceil(right), math.ceil(bottom)),
        )
        return shrunk(pixels, (width, height), (left - x0, top - y0, right - x0, bottom - y0))


def pyramid_of_pages(pages: Sequence[PageTiles]) -> tuple[PagePyramid, Pyramid]:
    """The levels among some pages, and what was left out."""
    found = pyramid_of(
        [Candidate(page.size, page.tile) for page in pages],
        lambda number, column, row: pages[number].read_tile(column, row),
    )
    return PagePyramid([pages[number] for number in found.numbers], found.levels), found
