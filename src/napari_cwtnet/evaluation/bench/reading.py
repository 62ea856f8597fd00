"""Reading 1024 × 1024 pixels at random places, against plain openslide-python."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import openslide
from PIL import Image

from napari_cwtnet.errors import RequestError
from napari_cwtnet.evaluation.bench.timing import Task
from napari_cwtnet.geometry import Region
from napari_cwtnet.slides import Slide, open_slide

SIDE = 1024
_PLACES = 64


def reading(path: Path, side: int = SIDE) -> dict[str, Task]:
    """Two tasks that read the same places in the same order, RGB on white.

    The file is opened anew before each reading, so that neither has kept a tile.

    Raises
    ------
    RequestError
        If OpenSlide cannot read the file: then there is nothing to compare with.
    """
    try:
        with openslide.OpenSlide(path) as plain:
            width, height = plain.dimensions
    except openslide.OpenSlideError as error:
        raise RequestError(
            f"Slide {path} cannot be read by openslide-python ({error}), so there is nothing to "
            "compare reading with; leave reading out."
        ) from error
    generator = np.random.default_rng(0)
    places = [
        (
            int(generator.integers(max(1, width - side))),
            int(generator.integers(max(1, height - side))),
        )
        for _ in range(_PLACES)
    ]
    for_plain, for_slide = itertools.cycle(places), itertools.cycle(places)
    handles: dict[str, openslide.OpenSlide] = {}
    slides: dict[str, Slide] = {}

    def open_plain() -> None:
        if "now" in handles:
            handles["now"].close()
        handles["now"] = openslide.OpenSlide(path)

    def open_ours() -> None:
        if "now" in slides:
            slides["now"].close()
        slides["now"] = open_slide(path)

    def read_plain() -> object:
        image = handles["now"].read_region(next(for_plain), 0, (side, side))
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return np.asarray(white)

    def read_ours() -> object:
        return slides["now"].read(Region(*next(for_slide), side, side), 1)

    return {
        "openslide-python": Task(read_plain, open_plain),
        "Slide.read": Task(read_ours, open_ours),
    }
